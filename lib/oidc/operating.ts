import { ConfigError, shown } from '../errors.ts'
import type { RelyingParty } from '../relying-party.ts'
import type { OidcStatus, Operating } from '../status.ts'

/** The methods of the middleware for health checks and for the end of a process. */
export function createOperating(rp: RelyingParty): Operating {
  let isDraining = false
  return {
    status: () => ({ ...readStatus(rp), isDraining }),
    async drain({ seconds = MAX_DRAIN_SECONDS } = {}) {
      checkDrainSeconds(seconds)
      isDraining = true
      for (const client of rp.clients.values()) client.stop()
      const requestsUnderWay = await rp.underWay.ended(seconds)
      // Connections that are in use would break.
      if (requestsUnderWay === 0) for (const client of rp.clients.values()) client.close()
      return { requestsUnderWay }
    },
  }
}

/** What this process has last seen of its providers and stores. Sends no request. */
function readStatus(rp: RelyingParty): Omit<OidcStatus, 'isDraining'> {
  return {
    providers: Object.fromEntries([...rp.clients].map(([name, client]) => [name, client.status()])),
    ...(rp.sharedStateOutcomes === undefined ? {} : { sharedState: rp.sharedStateOutcomes.status() }),
    sessionStore: rp.sessionStoreOutcomes.status(),
    requestsUnderWay: rp.underWay.count(),
    loginsUnderWay: rp.underWay.count('login') + rp.underWay.count('callback'),
  }
}

/** How long `drain()` waits by default, in seconds: longer than a login's requests to the provider take by default. */
const MAX_DRAIN_SECONDS = 30

function checkDrainSeconds(seconds: unknown): void {
  if (typeof seconds === 'number' && seconds >= 0 && seconds <= 3600) return
  throw new ConfigError([`seconds of auth.drain() must be a number from 0 to 3600, not ${shown(String(seconds))}.`])
}
