import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Request } from '../../lib/http/request.ts'
import { readLogin } from '../../lib/session/current-login.ts'
import { indexIdOf, keysOfLogin, matchesTarget } from '../../lib/session/session-index.ts'
import { readOidcSession } from '../../lib/session/stored-session.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import type { Login, TokenRecord } from '../../lib/types.ts'
import { anyText, foreignJson, nearly } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'

const ISSUER = 'https://op.example.com'
const NOW = Date.now() / 1000
const CONFIG = { sessionKey: 'oidc', issuers: new Map([['default', ISSUER]]), idleTimeout: 600 }
const NAMESPACE = {
  origin: 'https://app.example',
  basePath: '',
  sessionKey: 'oidc',
  clientIds: new Map([['default', 'client']]),
}

const CLAIMS = { iss: ISSUER, sub: 'jane', sid: 'one', amr: ['pwd'], acr: '1' }
const LOGIN = { claims: CLAIMS, scope: 'openid', loggedInAt: NOW - 10, expiresAt: NOW + 1000 }
/** As version 0.2.0 stored it. */
const SESSION = { login: LOGIN, tokensId: 'tokens', seenAt: NOW, checkedAt: NOW, indexId: 'id' }
const STORED = {
  ...{ claims: CLAIMS, at: NOW - 10, id: 'tokens', index: 'id', scope: 'openid', end: NOW + 1000 },
  ...{ seenAt: NOW, checkedAt: NOW },
}

/** A session that is nearly one of ours: what a store, an application or an older version may have made of it. */
const storedSession = fc.oneof(
  nearly(STORED),
  nearly(CLAIMS).map((claims) => ({ ...STORED, claims })),
  nearly(SESSION),
  nearly(LOGIN).map((login) => ({ ...SESSION, login })),
  nearly(CLAIMS).map((claims) => ({ ...SESSION, login: { ...LOGIN, claims } })),
  foreignJson,
  fc.anything(),
)

describe('the session that a store gives back', () => {
  it('is one of ours in every member that is needed, or is none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          storedSession.map((oidc) => ({ oidc })),
          fc.anything(),
        ),
        (session) => {
          const held = readOidcSession(session, CONFIG)
          if (held === undefined) return
          const { login, tokensId } = held
          assert.equal(typeof tokensId, 'string')
          holds(typeof login.claims.iss === 'string' && typeof login.claims.sub === 'string' && login.claims.sub !== '')
          holds(typeof login.scope === 'string' && typeof login.loggedInAt === 'number')
          assert.equal(typeof login.expiresAt, 'number')
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('is none if one of its times is not a number, because a login would then outlive its idle timeout', () => {
    for (const name of ['seenAt', 'checkedAt']) {
      for (const time of [String(NOW), null, [NOW], {}]) {
        for (const held of [SESSION, STORED]) {
          assert.equal(readOidcSession({ oidc: { ...held, [name]: time } }, CONFIG), undefined)
        }
      }
    }
    assert.deepEqual(readOidcSession({ oidc: STORED }, CONFIG), SESSION)
    assert.deepEqual(readOidcSession({ oidc: SESSION }, CONFIG), SESSION)
  })

  it('holds a login only if it has not expired and is of a configured issuer', () => {
    fc.assert(
      fc.property(storedSession, (oidc) => {
        const login = readLogin({ headers: {}, session: { oidc } } as unknown as Request, CONFIG)
        if (login === undefined) return
        assert.equal(login.claims.iss, ISSUER)
        holds(login.expiresAt > NOW)
        holds(login.provider === undefined || login.provider === 'default')
        // What is made of a login must not fail on what else is in it.
        holds(keysOfLogin(NAMESPACE, login).every((key) => /^[\w-]{43}$/.test(key)))
        assert.match(indexIdOf(NAMESPACE, login, 'session'), /^[\w-]{8}$/)
        assert.equal(typeof matchesTarget(login, { provider: 'default', issuer: ISSUER, sid: 'one' }), 'boolean')
      }),
      { numRuns: 1000 },
    )
  })
})

describe('the tokens that a store gives back', () => {
  const records = createTokenRecords({ secrets: ['a secret of at least thirty-two octets'] })
  const login = LOGIN as Login

  function storeOf(record?: unknown): StoreLike & { record: unknown } {
    const store = {
      record,
      get: (_id: string, done: (error: unknown, value?: unknown) => void) => done(null, store.record),
      set: (_id: string, value: unknown, done: (error?: unknown) => void) => {
        // Stores write JSON.
        store.record = JSON.parse(JSON.stringify(value))
        done()
      },
      destroy: (_id: string, done: (error?: unknown) => void) => done(),
    }
    return store as unknown as StoreLike & { record: unknown }
  }

  it('are those that were kept, and no word of them can be read in the store', async () => {
    const tokens = fc.record({ idToken: fc.string({ minLength: 12 }), accessToken: fc.string({ minLength: 12 }) })
    await fc.assert(
      fc.asyncProperty(tokens, async (given: TokenRecord) => {
        const store = storeOf()
        const id = await records.save(store, given, login)
        assert.deepEqual(await records.read(store, id), { ...given })
        holds(!JSON.stringify(store.record).includes(JSON.stringify(given.idToken).slice(1, -1)))
        // Under another id, as of another login, they do not open.
        assert.equal(await records.read(store, `${id}x`), undefined)
      }),
    )
  })

  it('are none where the record is anything else', async () => {
    const record = fc.oneof(fc.anything(), fc.record({ tokens: fc.oneof(anyText, fc.anything()) }))
    await fc.assert(
      fc.asyncProperty(record, async (value) => {
        const { value: tokens } = await outcomeOf(() => records.read(storeOf(value), 'id'))
        assert.equal(tokens, undefined)
      }),
      { numRuns: 500 },
    )
  })
})
