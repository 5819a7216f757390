/*
 * Finds sessions that the session index has lost.
 *
 * Why. The index is in the shared state, and the sessions are in the session store. A shared state that is added later,
 * replaced, emptied or restarted without its data does not have the sessions from before. A logout at the provider then finds
 * none of them, and the user would stay logged in until the login expires.
 *
 * What it does. The `indexId` of a session holds the epoch of the shared state in which the session was added (see
 * state/epoch.ts). If that is not the current epoch, then before the request is handed on, the check
 *   1. adds the session to the index again, so that the next logout finds it,
 *   2. ends the session if a logout of its user or its session at the provider was recorded since its login,
 *   3. otherwise saves the session with the new epoch.
 * In this order: a logout is recorded before it looks for sessions. So it is found here, or it finds the session.
 *
 * If the shared state cannot be reached, nobody knows whether it has lost the session. Then each request of a login takes the
 * second step alone: the logouts are in the session store, which must be reachable anyway.
 *
 * What it costs. A request of a session whose epoch is current: one comparison. Otherwise two reads of the session store, and
 * once in an epoch two writes of the shared state and one of the session.
 */
import { publishError } from '../events.ts'
import type { Request } from '../http/request.ts'
import type { StateEpoch } from '../state/epoch.ts'
import { unlessAbsent } from '../state/store-record.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import { endLocalLogin, type LoginServices, logoutRecordSeconds, type ProviderLogouts } from './end-login.ts'
import { requireSession, type SessionRequest, storeOperation } from './express-session.ts'
import { saveLogin } from './login-session.ts'
import { epochOf, type SessionIndex } from './session-index.ts'
import { type OidcSession, readIndexId, readOidcSession } from './stored-session.ts'

export interface IndexCheck {
  /** False if the session of this request is in the index, or has no login. Never waits. */
  isNeeded(req: Request): boolean
  /**
   * Call it before the request is handed on. If the login is over, the request goes on with a new session, without a login.
   * Rejects if the session store fails: then it is not known whether the login is over.
   */
  run(req: Request): Promise<void>
  /** The same for a request that may not write its session, such as an upgrade: true if the login is over. */
  isOver(req: SessionRequest): Promise<boolean>
}

interface IndexCheckServices extends LoginServices {
  readonly config: LoginServices['config'] & Parameters<typeof logoutRecordSeconds>[0]
  readonly index: SessionIndex
  readonly epoch: StateEpoch
  readonly providerLogouts: ProviderLogouts
}

export function createIndexCheck(services: IndexCheckServices): IndexCheck {
  const { config, index, epoch, providerLogouts, storeWatch } = services
  /** A page sends several requests at once. Only one of them checks and saves the session. */
  const share = createSingleFlight<string, boolean>()

  async function isLoggedOut({ sessionStore }: SessionRequest, { login, tokensId }: OidcSession): Promise<boolean> {
    // Logouts from before are forgotten. No login is as old, unless the lifetimes in the options were longer.
    if (nowInSeconds() - login.loggedInAt > logoutRecordSeconds(config)) return true
    return providerLogouts.wasLoggedOutSince(sessionStore, login, login.loggedInAt, tokensId)
  }

  /** Returns the new `indexId`, or `undefined` if the session could not be added. The next request then tries again. */
  async function addAgain(req: SessionRequest, { login, tokensId }: OidcSession): Promise<string | undefined> {
    return index.add(req.sessionStore, req.sessionID, { login, tokensId }).catch((error: unknown) => {
      publishError(error)
      return undefined
    })
  }

  /** Adds the session again if the index has lost it. Only then is it known whether a logout was missed. */
  async function find(req: SessionRequest, oidcSession: OidcSession): Promise<{ isOver: boolean; indexId?: string }> {
    const current = await epoch.current()
    if (current !== undefined && epochOf(oidcSession.indexId ?? '') === current) return { isOver: false }
    const indexId = current === undefined ? undefined : await addAgain(req, oidcSession)
    const isOver = await isLoggedOut(req, oidcSession)
    return indexId === undefined ? { isOver } : { isOver, indexId }
  }

  /** True if the login is over and was ended. */
  async function check(req: SessionRequest, oidcSession: OidcSession): Promise<boolean> {
    const { isOver, indexId } = await find(req, oidcSession)
    if (isOver) {
      await endLocalLogin(services, req, undefined, 'backchannel')
      return true
    }
    // Saved at once and not with the response, so that it does not undo what a request meanwhile writes to the session.
    if (indexId !== undefined) await saveLogin(req, config, storeWatch, { ...oidcSession, indexId }).catch(publishError)
    return storeWatch.isEnded(req)
  }

  return {
    isNeeded({ session }) {
      const indexId = readIndexId(session, config)
      return indexId !== undefined && !epoch.isCurrent(epochOf(indexId))
    },
    async run(request) {
      const req = requireSession(request)
      const oidcSession = readOidcSession(req.session, config)
      if (oidcSession === undefined) return
      const { session } = req
      const isOver = await share(`${oidcSession.tokensId} ${req.sessionID}`, () => check(req, oidcSession))
      if (isOver) await storeOperation('regenerate', (done) => session.regenerate(unlessAbsent(done)))
    },
    async isOver(req) {
      const oidcSession = readOidcSession(req.session, config)
      return oidcSession !== undefined && (await find(req, oidcSession)).isOver
    },
  }
}
