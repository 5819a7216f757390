import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requireClaim } from '../../lib/index.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'

/** Claims that are sound JSON, and that a careless hand would lose, trip over, or be taken over by. */
const STRANGE = `{
  "https://example.test/claims/department": "Research",
  "https://example.test/claims/cost center": 4711,
  "urn:example:flags": { "beta": true, "limits": [1, 2.5, null, { "deep": [] }] },
  "__proto__": { "admin": true, "isAuthenticated": true },
  "constructor": { "prototype": { "admin": true } },
  "prototype": "x",
  "toString": "not a function",
  "valueOf": 0,
  "hasOwnProperty": false,
  "toJSON": "no function either",
  "then": "no promise",
  "length": 12,
  "0": "zero",
  "": "nameless",
  "a.b": "dotted",
  "a": { "b": "nested" },
  "name#ja-Kana-JP": "\u30a2\u30ea\u30b9",
  "family_name#ja-Hani-JP": "\u4f8b",
  "nothing": null,
  "no": false,
  "empty_list": [],
  "empty_object": {},
  "large": 9007199254740991,
  "text": "a\\u0000b\\u2028\\"</script>"
}`

/** As the names and values arrive, `__proto__` among the own ones. */
const strange: Record<string, unknown> = JSON.parse(STRANGE)

const ok = answerJson(() => ({ ok: true }))

const stage = createStage({
  provider: { idToken: 'thin' },
  app: {
    errorHandler: 'json',
    routes: {
      '/department': [requireClaim('https://example.test/claims/department', 'Research'), ok],
      '/cost-center': [requireClaim('https://example.test/claims/cost center', 4711), ok],
      '/flags': [requireClaim(['urn:example:flags', 'beta'], true), ok],
      '/proto': [requireClaim(['__proto__', 'admin'], true), ok],
      '/constructor': [requireClaim(['constructor', 'prototype', 'admin'], true), ok],
      '/to-string': [requireClaim('toString', 'not a function'), ok],
      '/dotted': [requireClaim('a.b', 'dotted'), ok],
      '/nested': [requireClaim(['a', 'b'], 'nested'), ok],
      '/tagged': [requireClaim('name#ja-Kana-JP', '\u30a2\u30ea\u30b9'), ok],
      '/taken-over': [requireClaim('admin', true), ok],
    },
  },
})

const LET_THROUGH = [
  '/department',
  '/cost-center',
  '/flags',
  '/proto',
  '/constructor',
  '/to-string',
  '/dotted',
  '/nested',
]

const sources: readonly (readonly [name: string, bring: () => void])[] = [
  [
    'the ID Token',
    () => {
      stage.provider.change.idTokenClaims = (claims) => JSON.parse(merge(claims))
    },
  ],
  [
    'UserInfo',
    () => {
      stage.provider.change.userinfo = (claims) => merge(claims)
    },
  ],
]

/** The text, since an object of a literal would drop `__proto__`. */
function merge(claims: object): string {
  return `${JSON.stringify(claims).slice(0, -1)},${STRANGE.trim().slice(1)}`
}

/** The own members that were sent, out of all. */
function strangeOf(claims: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => Object.hasOwn(strange, name)))
}

const choices: readonly (readonly [name: string, options: Partial<AnyOptions>])[] = [
  ['all claims', {}],
  ['a list of claims', { sessionClaims: Object.keys(strange).filter((name) => name !== '') }],
  ['a function', { sessionClaims: (claims) => claims }],
]

for (const [source, bring] of sources) {
  for (const [choice, options] of choices) {
    describe(`unusual claims from ${source}, kept by ${choice}`, () => {
      it('are stored in the session unchanged, and pollute nothing', async () => {
        bring()
        const { app, browser } = await stage.startLoggedIn(options)
        // A claim that is null is absent (N-19).
        const { '': nameless, nothing: _, ...others } = strange
        const expected = Array.isArray(options.sessionClaims) ? others : { ...others, '': nameless }
        // From the request that logged in, and again from the store.
        for (const _ of [1, 2]) {
          const claims = (await browser.open('/profile')).json()
          assert.deepEqual(entriesOf(strangeOf(claims)), entriesOf(expected))
        }
        const [record] = Object.values(await app.records()).filter((one) => Object.hasOwn(one, 'oidc'))
        assert.ok(JSON.stringify(record).includes('"__proto__":{"admin":true'))
        assert.equal(Reflect.get({}, 'admin'), undefined)
        assert.equal(Reflect.get(Object, 'admin'), undefined)
        assert.deepEqual([app.errors, app.otherErrors, stage.provider.complaints], [[], [], []])
      })

      it('are what guards check', async () => {
        bring()
        const { browser } = await stage.startLoggedIn(options)
        for (const path of [...LET_THROUGH, '/tagged']) assert.equal((await browser.open(path)).status, 200, path)
        assert.equal((await browser.open('/taken-over')).status, 403)
      })
    })
  }
}

/** In any order; deepEqual of objects would look `__proto__` up in a way of its own. */
function entriesOf(claims: Record<string, unknown>): readonly unknown[] {
  return Object.entries(claims).sort(([one], [other]) => (one < other ? -1 : 1))
}

describe('the standard claims', () => {
  it('include the nested address', async () => {
    const { browser } = await stage.startLoggedIn({ scope: 'openid profile email address phone' })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual(claims['address'], {
      formatted: 'Ring 1\n1010 Wien',
      street_address: 'Ring 1',
      locality: 'Wien',
      region: 'Wien',
      postal_code: '1010',
      country: 'AT',
    })
    assert.deepEqual([claims['phone_number'], claims['phone_number_verified']], ['+43 1 2345678', false])
  })

  const raw: readonly (readonly [name: string, value: unknown])[] = [
    ['email_verified', 'true'],
    ['email_verified', 'false'],
    ['email_verified', 1],
    ['updated_at', '2026-01-01T00:00:00.000Z'],
    ['address', 'Ring 1, Wien'],
    ['address', { formatted: 'Ring 1', building: { floor: 3 } }],
    ['groups', 'admin'],
    ['locale', 'de_AT'],
    ['birthdate', '0000-04-01'],
  ]
  for (const [name, value] of raw) {
    it(`are passed on unchanged: ${name} ${JSON.stringify(value)}`, async () => {
      stage.provider.change.userinfo = (claims) => ({ ...claims, [name]: value })
      const { browser } = await stage.startLoggedIn()
      assert.deepEqual((await browser.open('/profile')).json()[name], value)
    })
  }

  it('are only those that the provider sent', async () => {
    stage.provider.change.userinfo = ({ sub }) => ({ sub })
    const { browser } = await stage.startLoggedIn()
    const names = Object.keys((await browser.open('/profile')).json())
    assert.deepEqual(
      names.filter((name) => ['email', 'email_verified', 'name', 'groups'].includes(name)),
      [],
    )
  })
})
