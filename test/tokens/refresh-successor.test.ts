import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { ErrorCode, IdTokenClaims, TokenRecord } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn } from '../support/app/logout-observer.ts'
import { isTokens, loginIn } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { FaultyStore, startAged } from '../support/hostile/fault-injection.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// The new refresh token is stored first, and then the rest of the response is judged.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const resource = new URLSearchParams(url?.split('?')[1]).get('resource') ?? undefined
    return { token: await oidc.accessToken({ resource }) }
  }),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

function spentTokens({ requests }: StrictProvider): readonly (string | null)[] {
  return requests.flatMap(({ form }) => (form.has('refresh_token') ? [form.get('refresh_token')] : []))
}

/** The login in the only session of the store. */
async function storedLogin(app: TestApp): Promise<Record<string, unknown>> {
  const logins = Object.values(await app.records()).map(loginIn)
  return Object(logins.find((login) => login !== undefined))
}

/** Makes these writes of token records fail, counted from 1. Returns a function that counts them. */
function failWrites(store: FaultyStore, ...failing: readonly number[]): () => number {
  let writes = 0
  store.act = (name, run, fail) => {
    const [verb, id = ''] = name.split(' ')
    if (verb !== 'set' || !isTokens(id)) run()
    else if (failing.includes(++writes)) fail(new Error('the store fails'))
    else run()
  }
  return () => writes
}

interface Judgement {
  readonly name: string
  readonly options?: Partial<AnyOptions>
  readonly refuse: () => void
  /** Absent for an error of the application. */
  readonly code?: ErrorCode
}

let sessionClaimsFail = false

afterEach(() => {
  sessionClaimsFail = false
})

const sessionClaims = (claims: IdTokenClaims): Record<string, unknown> => {
  if (sessionClaimsFail) throw new Error('the application fails')
  return { ...claims }
}

const JUDGEMENTS: readonly Judgement[] = [
  {
    name: 'has an ID Token of another user',
    refuse: () => {
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, sub: 'another-user' })
    },
    code: 'ERR_OIDC_ID_TOKEN_SUBJECT',
  },
  {
    name: 'has an ID Token with an invalid signature',
    refuse: () => {
      stage.provider.change.refreshedIdToken = (jwt) => `${jwt.slice(0, -8)}AAAAAAAA`
    },
    code: 'ERR_OIDC_ID_TOKEN_SIGNATURE',
  },
  {
    name: 'has a scope that is a number',
    refuse: () => {
      stage.provider.change.refreshResponse = (response) => ({ ...response, scope: 5 })
    },
    code: 'ERR_OIDC_TOKEN_RESPONSE',
  },
  {
    name: 'has another token_type',
    refuse: () => {
      stage.provider.change.refreshResponse = (response) => ({ ...response, token_type: 'DPoP' })
    },
    code: 'ERR_OIDC_TOKEN_RESPONSE',
  },
  {
    name: 'has claims for which sessionClaims throws',
    options: { sessionClaims },
    refuse: () => {
      sessionClaimsFail = true
      stage.provider.change.refreshResponse = (response) => ({ ...response, scope: 'openid' })
    },
  },
  {
    name: 'has a session_expiry that is not a number',
    refuse: () => {
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: 'soon' })
    },
    code: 'ERR_OIDC_ID_TOKEN_SESSION_EXPIRY',
  },
]

function refuseNothing(): void {
  sessionClaimsFail = false
  const { change } = stage.provider
  change.refreshResponse = undefined
  for (const name of ['refreshedIdTokenClaims', 'refreshedIdToken']) Reflect.deleteProperty(change, name)
}

/** Logs a user in whose access token is about to expire, and whose provider's session lasts another thousand seconds. */
async function startWithSessionExpiry(options: Partial<AnyOptions> = {}): ReturnType<typeof startAged> {
  const session_expiry = Math.floor(Date.now() / 1000) + 1000
  stage.provider.change.idTokenClaims = (claims) => ({ ...claims, session_expiry })
  return await startAged(stage, options)
}

describe('a refresh response that is refused', () => {
  for (const { name, options, refuse, code } of JUDGEMENTS) {
    it(`N-2: that ${name} is refused, and the next call uses its refresh token`, async () => {
      const { app, browser } = await startWithSessionExpiry(options)
      const [before, login] = [await tokensOf(browser), await storedLogin(app)]
      refuse()
      const { status } = await browser.fetch('/access-token')
      const after = await tokensOf(browser)
      refuseNothing()
      assert.deepEqual([status >= 400, codesOf(app)], [true, code === undefined ? [] : [code]])
      assert.notEqual(after.refreshToken, before.refreshToken)
      assert.deepEqual([after.accessToken, after.idToken], [before.accessToken, before.idToken])
      assert.deepEqual(await storedLogin(app), login)
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual(spentTokens(stage.provider), [before.refreshToken, after.refreshToken])
      assert.deepEqual([await isIn(browser), stage.provider.complaints], [true, []])
    })
  }

  it('N-2: for its ID Token must be followed by one with an ID Token, which proves the user again', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, sub: 'another-user' })
    await browser.fetch('/access-token')
    stage.provider.change.refreshResponse = ({ id_token: _, ...response }) => response
    for (let count = 0; count < 2; count++) await browser.fetch('/access-token')
    const codes = ['ERR_OIDC_ID_TOKEN_SUBJECT', 'ERR_OIDC_ID_TOKEN_MISSING', 'ERR_OIDC_ID_TOKEN_MISSING']
    assert.deepEqual(codesOf(app), codes)
    refuseNothing()
    assert.equal((await browser.fetch('/access-token')).status, 200)
    stage.provider.change.refreshResponse = ({ id_token: _, ...response }) => response
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('N-2: leaves nothing of a login that ended in the meantime', async () => {
    const { app, browser } = await startAged(stage)
    const other = browser.clone()
    stage.provider.change.refreshedIdToken = async (jwt) => {
      await other.post('/logout', {}, { follow: false })
      return `${jwt.slice(0, -8)}AAAAAAAA`
    }
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    assert.deepEqual(Object.keys(await app.records()).filter(isTokens), [])
  })
})

describe('a refreshed ID Token without session_expiry', () => {
  for (const value of [undefined, null]) {
    it(`N-2: keeps the expiry of the login (OIDC Core 12.2); session_expiry ${value}`, async () => {
      const { app, browser } = await startWithSessionExpiry({ loginExpiry: 'session_expiry' })
      const { expiresAt } = await storedLogin(app)
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({
        ...claims,
        session_expiry: value,
        name: 'New Name',
      })
      assert.equal((await browser.fetch('/access-token')).status, 200)
      const { expiresAt: after, claims } = await storedLogin(app)
      assert.deepEqual([after, Object(claims).name, codesOf(app)], [expiresAt, 'New Name', []])
    })
  }
})

describe('a refreshed ID Token with session_expiry', () => {
  const now = (): number => Math.floor(Date.now() / 1000)

  for (const [name, seconds] of [
    ['shortens', 400],
    ['extends', 5000],
  ] as const) {
    it(`${name} the login`, async () => {
      const { app, browser } = await startWithSessionExpiry()
      const end = now() + seconds
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: end })
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.equal((await storedLogin(app))['expiresAt'], end)
    })
  }

  it('extends the login no further than loginLifetime', async () => {
    const { app, browser } = await startWithSessionExpiry({ loginLifetime: 2000 })
    const { loggedInAt } = await storedLogin(app)
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: now() + 50_000 })
    await browser.fetch('/access-token')
    assert.equal((await storedLogin(app))['expiresAt'], Number(loggedInAt) + 2000)
  })

  it('ends the login at once if it is in the past', async () => {
    const { browser } = await startWithSessionExpiry()
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: now() - 5 })
    await browser.fetch('/access-token')
    assert.equal(await isIn(browser), false)
  })

  it('limits a login that had none', async () => {
    const { app, browser } = await startAged(stage)
    const end = now() + 300
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: end })
    await browser.fetch('/access-token')
    assert.equal((await storedLogin(app))['expiresAt'], end)
  })

  it('keeps its limit if the next one has none, and exp says when the login expires', async () => {
    const { app, browser } = await startWithSessionExpiry({ loginExpiry: 'id_token', sessionClaims: ['name'] })
    const { claims } = await storedLogin(app)
    stage.provider.change.refreshedIdTokenClaims = ({ session_expiry: _, ...claims }) => ({
      ...claims,
      exp: now() + 40_000,
    })
    for (let count = 0; count < 2; count++) await browser.fetch('/access-token')
    assert.deepEqual([(await storedLogin(app))['expiresAt'], codesOf(app)], [Object(claims).session_expiry, []])
  })

  it('is not needed by a session of an older version, which has none', async () => {
    const { app, browser } = await startAged(stage)
    const { expiresAt } = await storedLogin(app)
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual([(await storedLogin(app))['expiresAt'], await isIn(browser)], [expiresAt, true])
  })
})

describe('a store that fails while it is to store refreshed tokens', () => {
  for (const failing of [1, 2]) {
    it(`N-2: is tried a second time; write ${failing}`, async () => {
      const store = new FaultyStore()
      const { app, browser } = await startAged(stage, {}, { session: { store } })
      failWrites(store, failing)
      const { token } = (await browser.fetch('/access-token')).json()
      store.heal()
      assert.deepEqual([codesOf(app), (await tokensOf(browser)).accessToken], [[], token])
    })
  }

  it('N-2: is tried no third time', async () => {
    const store = new FaultyStore()
    const { app, browser } = await startAged(stage, {}, { session: { store } })
    const writes = failWrites(store, 1, 2, 3, 4, 5)
    assert.equal((await browser.fetch('/access-token')).status, 503)
    assert.deepEqual([writes(), codesOf(app)], [2, ['ERR_OIDC_SESSION_STORE']])
  })

  it('N-2: has the new refresh token if only the access token could not be stored', async () => {
    const store = new FaultyStore()
    const { app, browser } = await startAged(stage, {}, { session: { store } })
    failWrites(store, 2, 3)
    assert.equal((await browser.fetch('/access-token')).status, 503)
    store.heal()
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual([codesOf(app), stage.provider.complaints], [['ERR_OIDC_SESSION_STORE'], []])
    assert.equal(new Set(spentTokens(stage.provider)).size, 2)
  })
})
