import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  AccessDeniedError,
  type ClaimRequirement,
  ConfigError,
  type GroupOptions,
  type Handler,
  OidcError,
  type Request,
  type Response,
  requireAmr,
  requireGroup,
} from '../../lib/index.ts'
import { startTestProvider, type TestClaims } from '../../lib/testing.ts'
import { startApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { stoppable } from '../support/test-kit/kit-app.ts'

/** Runs a guard with these claims: `let through`, or the code of the error that it passes to next. */
function judge(guard: Handler, claims: Record<string, unknown>): string {
  const oidc = { isAuthenticated: true, claims: { iss: 'https://op.test', sub: 'alice', ...claims }, scope: 'openid' }
  const outcomes: unknown[] = []
  guard({ method: 'GET', url: '/', headers: {}, oidc } as unknown as Request, {} as Response, (error) => {
    outcomes.push(error)
  })
  // A guard decides synchronously.
  assert.equal(outcomes.length, 1)
  const [error] = outcomes
  return error instanceof OidcError ? error.code : error === undefined ? 'let through' : String(error)
}

const REFUSED = 'ERR_OIDC_INSUFFICIENT_CLAIM'
const THROUGH = 'let through'

type Row = readonly [name: string, required: ClaimRequirement<string>, claim: unknown, outcome: string]

const ROWS: readonly Row[] = [
  ['one of a list', 'b', ['a', 'b'], THROUGH],
  ['the only one, as text', 'b', 'b', THROUGH],
  ['none of a list', 'c', ['a', 'b'], REFUSED],
  ['of an empty list', 'a', [], REFUSED],
  ['missing', 'a', undefined, REFUSED],
  ['null', 'a', null, REFUSED],
  ['text that only contains it', 'admin', 'no admin', REFUSED],
  ['several in one text', 'a', 'a b', REFUSED],
  ['several in one text with commas', 'a', 'a,b', REFUSED],
  ['an entry that only contains it', 'admin', ['administrators'], REFUSED],
  ['in other letters', 'Admin', ['admin'], REFUSED],
  ['a list in a list', 'a', [['a']], REFUSED],
  ['an object with that name', 'a', { a: true }, REFUSED],
  ['a number', '7', [7], REFUSED],
  ['true', 'true', true, REFUSED],
  ['with spaces in its name', 'Domain Admins', ['Everyone', 'Domain Admins'], THROUGH],
  ['with spaces around it', 'a', [' a '], REFUSED],
  ['with colons in its name', 'urn:example:staff', ['urn:example:staff'], THROUGH],
  ['with letters of other alphabets', '\u7ba1\u7406\u8005', ['\u7ba1\u7406\u8005'], THROUGH],
  ['what every object has', 'constructor', {}, REFUSED],
  ['what every list has', 'length', ['a'], REFUSED],
  ['any of several', { anyOf: ['c', 'b'] }, ['a', 'b'], THROUGH],
  ['none of several', { anyOf: ['c', 'd'] }, ['a', 'b'], REFUSED],
  ['any of several, as text', { anyOf: ['c', 'b'] }, 'b', THROUGH],
  ['all of several', { allOf: ['a', 'b'] }, ['c', 'b', 'a'], THROUGH],
  ['not all of several', { allOf: ['a', 'c'] }, ['a', 'b'], REFUSED],
  ['one where all are needed', { allOf: ['a', 'b'] }, 'a', REFUSED],
]

const GUARDS = [
  ['requireGroup', 'groups', (required: ClaimRequirement<string>) => requireGroup(required)],
  ['requireAmr', 'amr', (required: ClaimRequirement<string>) => requireAmr(required)],
] as const

const NO_REQUIREMENT: readonly (readonly [name: string, required: unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['empty text', ''],
  ['a number', 7],
  ['true', true],
  ['a list', ['a', 'b']],
  ['a function', () => true],
  ['an empty object', {}],
  ['any of none', { anyOf: [] }],
  ['all of none', { allOf: [] }],
  ['any of a text', { anyOf: 'a' }],
  ['any of a number', { anyOf: ['a', 7] }],
  ['any of empty text', { anyOf: ['a', ''] }],
  ['any and all', { anyOf: ['a'], allOf: ['b'] }],
  ['another word', { oneOf: ['a'] }],
]

for (const [name, claim, guardOf] of GUARDS) {
  describe(name, () => {
    for (const [what, required, value, outcome] of ROWS) {
      it(`${outcome === THROUGH ? 'accepts' : 'denies'}: ${what}`, () => {
        assert.equal(judge(guardOf(required), { [claim]: value }), outcome)
      })
    }

    it('does not read an inherited claim', () => {
      const inherited = Object.create({ [claim]: ['a'] })
      assert.equal(judge(guardOf('a'), inherited), REFUSED)
    })

    it('ignores later changes of its list', () => {
      const anyOf = ['a']
      const guard = guardOf({ anyOf })
      anyOf.push('b')
      assert.equal(judge(guard, { [claim]: 'b' }), REFUSED)
    })

    for (const [what, required] of NO_REQUIREMENT) {
      it(`refuses ${what}`, () => {
        assert.throws(
          () => guardOf(required as string),
          (error) => error instanceof ConfigError && error.message.includes(name),
        )
      })
    }
  })
}

describe('the claim of requireGroup', () => {
  it('is the one that the option names', () => {
    const guard = requireGroup('editor', { claim: 'https://example.test/roles' })
    assert.equal(judge(guard, { 'https://example.test/roles': ['editor'] }), THROUGH)
    assert.equal(judge(guard, { groups: ['editor'], 'https://example': { 'test/roles': ['editor'] } }), REFUSED)
  })

  it('is a nested one if the option is a list', () => {
    const guard = requireGroup({ anyOf: ['editor', 'author'] }, { claim: ['realm_access', 'roles'] })
    assert.equal(judge(guard, { realm_access: { roles: ['author'] } }), THROUGH)
    for (const claims of [{ groups: ['editor'] }, { realm_access: null }, { realm_access: ['roles', 'editor'] }, {}]) {
      assert.equal(judge(guard, claims), REFUSED)
    }
  })

  it('is groups by default', () => {
    assert.equal(judge(requireGroup('a', {}), { groups: ['a'] }), THROUGH)
  })

  const mistakes: readonly (readonly [name: string, options: unknown])[] = [
    ['empty text', { claim: '' }],
    ['an empty list', { claim: [] }],
    ['a list with a number', { claim: ['a', 7] }],
    ['a number', { claim: 7 }],
    ['null', { claim: null }],
    ['another option', { claims: 'roles' }],
    ['a name by itself', 'roles'],
    ['no options', null],
  ]
  for (const [name, options] of mistakes) {
    it(`is refused: ${name}`, () => {
      assert.throws(
        () => requireGroup('a', options as GroupOptions),
        (error) => error instanceof ConfigError && error.message.includes('requireGroup'),
      )
    })
  }
})

describe('requireGroup and requireAmr after a login', () => {
  const provider = share(async () => stoppable(await startTestProvider()))
  const stopLater = stopAfterEach()
  const ok = answerJson(() => ({ ok: true }))
  const routes = {
    '/admins': [requireGroup('Domain Admins: Vienna'), ok],
    '/roles': [requireGroup('editor', { claim: 'https://example.test/roles' }), ok],
    '/other': [requireGroup({ allOf: ['staff', 'Domain Admins: Vienna'] }), ok],
    '/mfa': [requireAmr({ anyOf: ['mfa', 'okta_verify'] }), ok],
    '/fido': [requireAmr('hwk'), ok],
  }

  /** The status of each route for a user with these claims. */
  async function statusesFor(claims: TestClaims): Promise<Readonly<Record<string, number>>> {
    const app = stopLater(await startApp({ options: provider().options, routes, errorHandler: 'json' }))
    const { cookie } = await provider().login(app.origin, claims)
    const headers = { cookie }
    const answers = Object.keys(routes).map(async (path) => [
      path,
      (await fetch(app.origin + path, { headers })).status,
    ])
    const statuses = Object.fromEntries(await Promise.all(answers))
    assert.ok(app.errors.every((error) => error instanceof AccessDeniedError && error.code === REFUSED))
    return statuses
  }

  it('accept and deny by the claims of the ID Token', async () => {
    const groups = ['Everyone', 'Domain Admins: Vienna']
    const claims = { groups, 'https://example.test/roles': 'editor', amr: ['pwd', 'okta_verify'] }
    const expected = { '/admins': 200, '/roles': 200, '/other': 403, '/mfa': 200, '/fido': 403 }
    assert.deepEqual(await statusesFor(claims), expected)
  })

  it('deny if the provider sends neither claim', async () => {
    assert.deepEqual([...new Set(Object.values(await statusesFor({})))], [403])
  })

  it('deny without a login', async () => {
    const app = stopLater(await startApp({ options: provider().options, routes }))
    for (const path of Object.keys(routes)) assert.equal((await fetch(app.origin + path)).status, 401)
  })
})
