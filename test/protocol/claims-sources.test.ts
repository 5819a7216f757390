import assert from 'node:assert/strict'
import diagnostics from 'node:diagnostics_channel'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { afterEach, before, beforeEach, describe, it, mock } from 'node:test'
import { ConfigError, type Events, oidc, requireClaim } from '../../lib/index.ts'
import { type JsonObject, parseJsonObject } from '../../lib/jose/json.ts'
import { SECURITY_CLAIMS } from '../../lib/protocol/claim-rules.ts'
import { resolveClaimsSources } from '../../lib/protocol/claims-sources.ts'
import { type ClaimsContext, createClaimsProviders } from '../../lib/provider/claims-providers.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import type { Json } from '../../lib/types.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createSigningKeys, keyForAlg, type SigningKeys, signJws } from '../support/app/signing-keys.ts'
import { createStage, stopAfterEach } from '../support/app/stage.ts'
import { listen, sendJson, sendText } from '../support/servers/http-server.ts'

/** Somebody with keys, who may be asked for claims. */
interface Source {
  readonly issuer: string
  readonly keys: SigningKeys
  /** The paths that were asked for, and with which authorization. */
  readonly asked: (readonly [path: string, authorization: string | undefined])[]
  /** What is answered, by path. */
  readonly answers: Record<string, (req: IncomingMessage, res: ServerResponse) => void>
}

const DISCOVERY = '/.well-known/openid-configuration'
const TOKEN = 'the-access-token-of-the-source'
const CLIENT = { clientId: 'test-client', clockTolerance: 60, timeout: 5, fetch: undefined }

const stopLater = stopAfterEach()
let opKeys: SigningKeys
let bankKeys: SigningKeys
let op: Source
let bank: Source
let outcomes: (number | string)[] = []

before(async () => {
  opKeys = createSigningKeys()
  bankKeys = createSigningKeys()
})

beforeEach(async () => {
  op = await startSource(opKeys)
  bank = await startSource(bankKeys)
  outcomes = []
  diagnostics.subscribe('express-oidc:provider', hear)
})

afterEach(() => {
  mock.timers.reset()
  diagnostics.unsubscribe('express-oidc:provider', hear)
})

/** Which sources were left out, and why. */
function hear(message: unknown): void {
  const { url, outcome } = message as Events['express-oidc:provider']
  if (url === op.issuer) outcomes.push(outcome)
}

async function startSource(keys: SigningKeys, issuerPath: string = ''): Promise<Source> {
  const asked: Source['asked'] = []
  const answers: Source['answers'] = {}
  const server = http.createServer((req, res) => {
    asked.push([req.url ?? '', req.headers.authorization])
    const answer = answers[req.url ?? '']
    if (answer) answer(req, res)
    else res.writeHead(404).end()
  })
  const { port } = stopLater(await listen(server))
  const origin = `http://localhost:${port}`
  const issuer = origin + issuerPath
  answers[issuerPath.replace(/\/$/, '') + DISCOVERY] = (_req, res) => {
    sendJson(res, 200, { issuer, jwks_uri: `${origin}/keys` })
  }
  answers['/keys'] = (_req, res) => sendJson(res, 200, { keys: Object.values(keys).map(({ jwk }) => jwk) })
  return { issuer, keys, asked, answers }
}

/** How this client looks at its sources. */
function contextOf(changes: Partial<ClaimsContext['config']> = {}): ClaimsContext {
  const usual = {
    profile: undefined,
    issuer: op.issuer,
    claimsProviders: [bank.issuer],
    dangerouslyAllowInsecureRequests: true,
  }
  const config = { ...CLIENT, ...usual, ...changes }
  const keys = createKeyStore(createHttpClient(config), `${op.issuer}/keys`)
  return { config, keys, claimsProviders: createClaimsProviders(config) }
}

interface JwtChange {
  readonly alg?: string
  readonly key?: Parameters<typeof signJws>[1]
  readonly header?: object
  readonly claims?: object
  /** The finished text. */
  readonly mangle?: (jwt: string) => unknown
}

/** A JWT of the bank, but for what is changed. */
function jwtOf(claims: object, { alg = 'RS256', key, header, mangle, ...change }: JwtChange = {}): string {
  const signer = keyForAlg(bank.keys, alg)
  const payload = { iss: bank.issuer, ...claims, ...change.claims }
  const jwt = signJws(alg, key ?? signer.privateKey, { alg, kid: signer.kid, ...header }, payload)
  return String(mangle === undefined ? jwt : mangle(jwt))
}

/** As UserInfo would have it: parsed from JSON. */
function userinfo(json: unknown): JsonObject {
  const parsed = parseJsonObject(Buffer.from(JSON.stringify(json)))
  assert.ok(parsed)
  return parsed
}

/** UserInfo in which one source has the credit score. */
function withSource(source: unknown, names: object = { credit_score: 'bank' }): JsonObject {
  return userinfo({ sub: 'alice', name: 'Alice', _claim_names: names, _claim_sources: { bank: source } })
}

/** What is left of it where the source is left out. */
function withoutSource(names: object = { credit_score: 'bank' }): object {
  return { sub: 'alice', name: 'Alice', _claim_names: names }
}

function serveClaims(source: Source, body: string, type: string = 'application/jwt', status: number = 200): string {
  source.answers['/claims'] = (_req, res) => sendText(res, status, type, body)
  return `${new URL(source.issuer).origin}/claims`
}

describe('aggregated claims', () => {
  for (const alg of ['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA']) {
    it(`are accepted if a claims provider has signed them with ${alg}`, async () => {
      const jwt = jwtOf({ credit_score: 650, ignored: 1 }, { alg })
      const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwt }))
      assert.deepEqual(resolved, { ...withoutSource(), credit_score: 650 })
      assert.ok(Object.isFrozen(resolved))
      assert.deepEqual(outcomes, [])
    })
  }

  for (const profile of ['fapi2', 'ipsie-sl1'] as const) {
    it(`are signed with PS256, ES256 or EdDSA with profile ${profile}`, async () => {
      for (const [alg, isAllowed] of [
        ...(['PS256', 'ES256', 'EdDSA'] as const).map((alg) => [alg, true] as const),
        ...(['RS256', 'PS384', 'ES512'] as const).map((alg) => [alg, false] as const),
      ]) {
        const source = withSource({ JWT: jwtOf({ credit_score: 650 }, { alg }) })
        const resolved = await resolveClaimsSources(contextOf({ profile }), source)
        assert.equal(Object.hasOwn(resolved, 'credit_score'), isAllowed, alg)
        assert.deepEqual(outcomes.splice(0), isAllowed ? [] : ['ERR_OIDC_CLAIMS_SOURCE'])
      }
    })
  }

  it('may be any JSON, under any name', async () => {
    const claims = { 'https://bank.test/risk': { a: [1, null] }, constructor: 'c', toString: 7, hasOwnProperty: false }
    const names = Object.fromEntries(Object.keys(claims).map((name) => [name, 'bank']))
    const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwtOf(claims) }, names))
    assert.deepEqual(resolved, { ...withoutSource(names), ...claims })
  })

  it('may be named __proto__, and so may the source', async () => {
    const jwt = jwtOf(JSON.parse('{ "__proto__": { "admin": true } }'))
    const given = userinfo(
      JSON.parse(
        `{ "sub": "alice", "_claim_names": { "__proto__": "__proto__" }, "_claim_sources": { "__proto__": { "JWT": "${jwt}" } } }`,
      ),
    )
    const resolved = await resolveClaimsSources(contextOf(), given)
    assert.deepEqual(Object.getOwnPropertyDescriptor(resolved, '__proto__')?.value, { admin: true })
    assert.equal(Object.getPrototypeOf(resolved), Object.prototype)
    assert.equal(Reflect.get({}, 'admin'), undefined)
  })

  it('are only those that _claim_names lists', async () => {
    const names = { credit_score: 'bank', phone_number: 'other' }
    const jwt = jwtOf({ credit_score: 1, phone_number: '+43', groups: ['admin'] })
    const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwt }, names))
    assert.deepEqual(resolved, { ...withoutSource(names), credit_score: 1 })
    assert.deepEqual(outcomes, ['ERR_OIDC_CLAIMS_SOURCE'])
  })

  it('never replace an existing claim', async () => {
    const names = { name: 'bank', credit_score: 'bank' }
    const jwt = jwtOf({ name: 'Mallory', credit_score: 1 })
    const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwt }, names))
    assert.deepEqual(resolved, { ...withoutSource(names), credit_score: 1 })
  })

  for (const name of [...SECURITY_CLAIMS, '_claim_names', '_claim_sources']) {
    it(`never add ${name}`, async () => {
      const sound = { iss: bank.issuer, aud: CLIENT.clientId, exp: 4e9, nbf: 1 }
      const jwt = jwtOf({ [name]: 'of the bank', ...sound, credit_score: 1 })
      const names = { [name]: 'bank', credit_score: 'bank' }
      const given = userinfo({ _claim_names: names, _claim_sources: { bank: { JWT: jwt } } })
      assert.deepEqual(await resolveClaimsSources(contextOf(), given), { _claim_names: names, credit_score: 1 })
    })
  }

  const sound: readonly (readonly [name: string, claims: object])[] = [
    ['another name for the person', { sub: 'somebody at the bank' }],
    ['an end that is to come', { exp: Math.floor(Date.now() / 1000) + 100 }],
    ['an end that only the clocks disagree on', { exp: Math.floor(Date.now() / 1000) - 30 }],
    ['a beginning that has been', { nbf: 1 }],
    ['this client as audience', { aud: CLIENT.clientId }],
    ['this client among the audiences', { aud: ['other', CLIENT.clientId] }],
    ['a time of issue', { iat: 1 }],
  ]
  for (const [name, claims] of sound) {
    it(`may have ${name}`, async () => {
      const resolved = await resolveClaimsSources(
        contextOf(),
        withSource({ JWT: jwtOf({ ...claims, credit_score: 1 }) }),
      )
      assert.equal(resolved['credit_score'], 1, String(outcomes))
    })
  }

  it('may be from the OpenID provider itself, whose keys are known', async () => {
    const claims = { iss: op.issuer, sub: 'alice' }
    const jwt = jwtOf({ credit_score: 1 }, { key: op.keys.rsa.privateKey, header: { kid: op.keys.rsa.kid }, claims })
    const resolved = await resolveClaimsSources(contextOf({ claimsProviders: [op.issuer] }), withSource({ JWT: jwt }))
    assert.deepEqual([resolved['credit_score'], op.asked], [1, [['/keys', undefined]]])
  })

  it('may be from a claims provider with a slash at the end', async () => {
    const other = await startSource(bankKeys, '/tenant/')
    const jwt = jwtOf({ iss: other.issuer, credit_score: 1 })
    const resolved = await resolveClaimsSources(
      contextOf({ claimsProviders: [other.issuer] }),
      withSource({ JWT: jwt }),
    )
    assert.equal(resolved['credit_score'], 1)
    assert.deepEqual(
      other.asked.map(([path]) => path),
      [`/tenant${DISCOVERY}`, '/keys'],
    )
  })

  it('fetch the keys of a claims provider once', async () => {
    const context = contextOf()
    for (const score of [1, 2, 3]) {
      const resolved = await resolveClaimsSources(context, withSource({ JWT: jwtOf({ credit_score: score }) }))
      assert.equal(resolved['credit_score'], score)
    }
    assert.deepEqual(
      bank.asked.map(([path]) => path),
      [DISCOVERY, '/keys'],
    )
  })

  it('are read from the first ten sources only', async () => {
    const indexes = Array.from({ length: 12 }, (_, index) => index)
    const given = userinfo({
      _claim_names: Object.fromEntries(indexes.map((index) => [`claim${index}`, `source${index}`])),
      _claim_sources: Object.fromEntries(
        indexes.map((index) => [`source${index}`, { JWT: jwtOf({ [`claim${index}`]: index }) }]),
      ),
    })
    const { _claim_names: _, ...resolved } = await resolveClaimsSources(contextOf(), given)
    assert.deepEqual(Object.values(resolved), indexes.slice(0, 10))
  })

  it('are read once for all names of a source', async () => {
    const names = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`claim${index}`, 'bank']))
    const endpoint = serveClaims(bank, jwtOf({ claim7: 7, claim49999: 8 }))
    const resolved = await resolveClaimsSources(contextOf(), withSource({ endpoint }, names))
    assert.deepEqual([resolved['claim7'], resolved['claim49999']], [7, 8])
    assert.equal(bank.asked.filter(([path]) => path === '/claims').length, 1)
  })
})

type Refused = readonly [name: string, change: () => JwtChange, outcome: string]

const DISTRUSTED = 'ERR_OIDC_CLAIMS_SOURCE'
const REFUSED: readonly Refused[] = [
  ['not signed', () => ({ alg: 'none' }), DISTRUSTED],
  ['signed with a secret', () => ({ alg: 'HS256', key: 'client-secret' }), DISTRUSTED],
  ['signed with a public key as secret', () => ({ alg: 'HS256', key: pemOf(bankKeys) }), DISTRUSTED],
  [
    'signed with the key of the OpenID provider',
    () => ({ key: opKeys.rsa.privateKey }),
    'ERR_OIDC_USERINFO_JWT_SIGNATURE',
  ],
  ['signed with a key that nobody publishes', () => ({ header: { kid: 'x' } }), 'ERR_OIDC_USERINFO_JWT_KEY'],
  ['changed after it was signed', () => ({ mangle: withScore }), 'ERR_OIDC_USERINFO_JWT_SIGNATURE'],
  ['without its signature', () => ({ mangle: (jwt) => jwt.replace(/[^.]*$/, '') }), DISTRUSTED],
  ['of another type', () => ({ header: { typ: 'at+jwt' } }), 'ERR_OIDC_USERINFO_JWT_TYPE'],
  ['with an extension', () => ({ header: { crit: ['b64'], b64: true } }), 'ERR_OIDC_USERINFO_JWT_CRIT'],
  ['with an algorithm that is no text', () => ({ header: { alg: ['RS256'] } }), DISTRUSTED],
  ['with an algorithm that is none', () => ({ header: { alg: 'constructor' } }), DISTRUSTED],
  ['of nobody', () => ({ claims: { iss: undefined } }), DISTRUSTED],
  ['of a list', () => ({ claims: { iss: [bank.issuer] } }), DISTRUSTED],
  ['of an issuer that is not trusted', () => ({ claims: { iss: 'https://other.test' } }), DISTRUSTED],
  ['of the OpenID provider, which is not named as claims provider', () => ({ claims: { iss: op.issuer } }), DISTRUSTED],
  ['of nearly the issuer', () => ({ claims: { iss: `${bank.issuer}/` } }), DISTRUSTED],
  ['of an issuer in other letters', () => ({ claims: { iss: bank.issuer.toUpperCase() } }), DISTRUSTED],
  ['over', () => ({ claims: { exp: Math.floor(Date.now() / 1000) - 61 } }), DISTRUSTED],
  ['of an end that is no instant', () => ({ claims: { exp: '4000000000' } }), DISTRUSTED],
  ['of an end that is null', () => ({ claims: { exp: null } }), DISTRUSTED],
  ['not valid yet', () => ({ claims: { nbf: Math.floor(Date.now() / 1000) + 90 } }), DISTRUSTED],
  ['of a beginning that is no instant', () => ({ claims: { nbf: '1' } }), DISTRUSTED],
  ['for another audience', () => ({ claims: { aud: 'other' } }), DISTRUSTED],
  ['for other audiences', () => ({ claims: { aud: ['other', 'third'] } }), DISTRUSTED],
  ['for nobody', () => ({ claims: { aud: [] } }), DISTRUSTED],
  ['for an object', () => ({ claims: { aud: { [CLIENT.clientId]: true } } }), DISTRUSTED],
  ['too large', () => ({ claims: { padding: 'x'.repeat(65_536) } }), 'ERR_OIDC_USERINFO_JWT_TOO_LARGE'],
  ['encrypted', () => ({ mangle: () => 'eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA' }), DISTRUSTED],
  ['empty', () => ({ mangle: () => '' }), DISTRUSTED],
  ['no JWT', () => ({ mangle: () => 'credit_score=1' }), DISTRUSTED],
  ['JSON', () => ({ mangle: () => '{"credit_score":1}' }), DISTRUSTED],
]

function pemOf(keys: SigningKeys): string {
  return String(keys.rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

function withScore(jwt: string): string {
  const [header, , signature] = jwt.split('.')
  const payload = JSON.stringify({ iss: bank.issuer, credit_score: 1000 })
  return [header, Buffer.from(payload).toString('base64url'), signature].join('.')
}

for (const kind of ['aggregated', 'distributed'] as const) {
  describe(`${kind} claims are left out`, () => {
    for (const [name, change, outcome] of REFUSED) {
      it(`if the JWT is ${name}`, async () => {
        const jwt = jwtOf({ credit_score: 1 }, change())
        const source = kind === 'aggregated' ? { JWT: jwt } : { endpoint: serveClaims(bank, jwt), access_token: TOKEN }
        const resolved = await resolveClaimsSources(contextOf(), withSource(source))
        assert.deepEqual(resolved, withoutSource())
        assert.deepEqual(outcomes, [outcome])
      })
    }

    it('if the OpenID provider says that they are about another user', async () => {
      const signed = { key: op.keys.rsa.privateKey, header: { kid: op.keys.rsa.kid } }
      const jwt = jwtOf({ credit_score: 1, iss: op.issuer, sub: 'bob' }, signed)
      const source = kind === 'aggregated' ? { JWT: jwt } : { endpoint: serveClaims(bank, jwt) }
      const context = contextOf({ claimsProviders: [bank.issuer, op.issuer] })
      assert.deepEqual(await resolveClaimsSources(context, withSource(source)), withoutSource())
      assert.deepEqual(outcomes, [DISTRUSTED])
    })
  })
}

describe('claims whose source cannot be read', () => {
  const sources: readonly (readonly [name: string, source: Json])[] = [
    ['is a text', 'bank'],
    ['is null', null],
    ['is a list', [{ JWT: 'x' }]],
    ['is empty', {}],
    ['has a number for a JWT', { JWT: 7 }],
    ['has a list for an endpoint', { endpoint: ['https://op.test'] }],
  ]
  for (const [name, source] of sources) {
    it(`are left out if it ${name}`, async () => {
      assert.deepEqual(await resolveClaimsSources(contextOf(), withSource(source)), withoutSource())
      assert.deepEqual(outcomes, [DISTRUSTED])
    })
  }

  const shapes: readonly (readonly [name: string, names: unknown, sources: unknown])[] = [
    ['there are no sources', { credit_score: 'bank' }, undefined],
    ['the sources are a list', { credit_score: '0' }, [{ JWT: 'x' }]],
    ['the sources are null', { credit_score: 'bank' }, null],
    ['the source is one that every object has', { credit_score: 'constructor' }, {}],
    ['the names are a list', ['bank'], { bank: {} }],
    ['the names are a text', 'bank', { bank: {} }],
    ['the names are null', null, { bank: {} }],
    ['a name has a list of sources', { credit_score: ['bank'] }, { bank: {} }],
    ['a name has no source', { credit_score: null }, { bank: {} }],
    ['there are no names', {}, { bank: {} }],
  ]
  for (const [name, names, sources] of shapes) {
    it(`are left out if ${name}`, async () => {
      const given = userinfo({ sub: 'alice', _claim_names: names, _claim_sources: sources })
      const resolved = await resolveClaimsSources(contextOf(), given)
      assert.deepEqual(resolved, userinfo({ sub: 'alice', _claim_names: names }))
    })
  }

  it('are not added if UserInfo names none', async () => {
    assert.deepEqual(await resolveClaimsSources(contextOf(), userinfo({ sub: 'alice' })), { sub: 'alice' })
  })
})

describe('without the option claimsProviders', () => {
  it('nothing is fetched or accepted, not even from the OpenID provider', async () => {
    const claims = { iss: op.issuer }
    const signed = jwtOf({ credit_score: 1 }, { key: op.keys.rsa.privateKey, header: { kid: op.keys.rsa.kid }, claims })
    const given = userinfo({
      sub: 'alice',
      _claim_names: { a: 'aggregated', b: 'distributed' },
      _claim_sources: {
        aggregated: { JWT: signed },
        distributed: { endpoint: serveClaims(op, signed), access_token: TOKEN },
      },
    })
    const resolved = await resolveClaimsSources(contextOf({ claimsProviders: [] }), given)
    assert.deepEqual(resolved, { sub: 'alice', _claim_names: { a: 'aggregated', b: 'distributed' } })
    assert.deepEqual([op.asked, bank.asked, outcomes], [[], [], []])
  })
})

describe('distributed claims', () => {
  it('are fetched with the access token of their source, which is used nowhere else', async () => {
    const endpoint = serveClaims(bank, jwtOf({ credit_score: 650 }))
    const resolved = await resolveClaimsSources(contextOf(), withSource({ endpoint, access_token: TOKEN }))
    assert.deepEqual(resolved, { ...withoutSource(), credit_score: 650 })
    assert.deepEqual(bank.asked[0], ['/claims', `Bearer ${TOKEN}`])
    assert.ok(!JSON.stringify(resolved).includes(TOKEN))
  })

  it('are fetched without a token if their source has none', async () => {
    const endpoint = serveClaims(bank, jwtOf({ credit_score: 650 }), 'application/jwt; charset=utf-8')
    const resolved = await resolveClaimsSources(contextOf(), withSource({ endpoint }))
    assert.equal(resolved['credit_score'], 650)
    assert.deepEqual(bank.asked[0], ['/claims', undefined])
  })

  it('may be at the OpenID provider', async () => {
    const endpoint = serveClaims(op, jwtOf({ credit_score: 650 }))
    const resolved = await resolveClaimsSources(contextOf(), withSource({ endpoint, access_token: TOKEN }))
    assert.deepEqual([resolved['credit_score'], op.asked], [650, [['/claims', `Bearer ${TOKEN}`]]])
  })

  it('are fetched from all sources at once, within one time limit', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const other = await startSource(bankKeys)
    let waiting = 0
    const hang = (): void => {
      waiting += 1
      // All of them have been asked before any has answered.
      if (waiting === 2) mock.timers.tick(5000)
    }
    bank.answers['/slow'] = hang
    other.answers['/slow'] = hang
    const names = { a: 'slow', b: 'slower' }
    const sources = { slow: { endpoint: `${bank.issuer}/slow` }, slower: { endpoint: `${other.issuer}/slow` } }
    const context = contextOf({ claimsProviders: [bank.issuer, other.issuer] })
    const given = userinfo({ sub: 'alice', _claim_names: names, _claim_sources: sources })
    assert.deepEqual(await resolveClaimsSources(context, given), { sub: 'alice', _claim_names: names })
    assert.deepEqual(outcomes, ['ERR_OIDC_PROVIDER_TIMEOUT', 'ERR_OIDC_PROVIDER_TIMEOUT'])
  })

  it('have one time limit for discovery, keys and claims together', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const { [DISCOVERY]: discover, '/keys': keys } = bank.answers
    bank.answers[DISCOVERY] = (req, res) => {
      mock.timers.tick(3000)
      discover?.(req, res)
    }
    bank.answers['/keys'] = (req, res) => {
      mock.timers.tick(3000)
      keys?.(req, res)
    }
    const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwtOf({ credit_score: 1 }) }))
    assert.deepEqual([resolved, outcomes], [withoutSource(), ['ERR_OIDC_PROVIDER_TIMEOUT']])
  })

  const answers: readonly (readonly [name: string, answer: () => string, outcome: string])[] = [
    ['a page', () => serveClaims(bank, jwtOf({ credit_score: 1 }), 'text/html'), DISTRUSTED],
    ['JSON', () => serveClaims(bank, '{"credit_score":1}', 'application/json'), DISTRUSTED],
    ['a JWT as text', () => serveClaims(bank, jwtOf({ credit_score: 1 }), 'text/plain'), DISTRUSTED],
    [
      'a refusal',
      () => serveClaims(bank, jwtOf({ credit_score: 1 }), 'application/jwt', 401),
      'ERR_OIDC_PROVIDER_STATUS',
    ],
    ['a failure', () => serveClaims(bank, '', 'application/jwt', 500), 'ERR_OIDC_PROVIDER_STATUS'],
    ['nothing', () => serveClaims(bank, ''), DISTRUSTED],
    ['of no type', () => serveUntyped(jwtOf({ credit_score: 1 })), DISTRUSTED],
    ['too much', () => serveClaims(bank, 'x'.repeat(1_048_577)), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
    ['what is not ASCII', () => serveClaims(bank, `\u00e9${jwtOf({ credit_score: 1 })}`), DISTRUSTED],
    ['a redirect', () => redirectTo(serveClaims(bank, jwtOf({ credit_score: 1 }))), 'ERR_OIDC_PROVIDER_REDIRECT'],
    ['that it is not there', () => `${bank.issuer}/nowhere`, 'ERR_OIDC_PROVIDER_STATUS'],
  ]
  for (const [name, answer, outcome] of answers) {
    it(`are left out if the response is ${name}`, async () => {
      const source = { endpoint: answer(), access_token: TOKEN }
      assert.deepEqual(await resolveClaimsSources(contextOf(), withSource(source)), withoutSource())
      assert.deepEqual(outcomes, [outcome])
    })
  }

  function serveUntyped(body: string): string {
    bank.answers['/untyped'] = (_req, res) => void res.writeHead(200).end(body)
    return `${bank.issuer}/untyped`
  }

  function redirectTo(location: string): string {
    bank.answers['/redirect'] = (_req, res) => void res.writeHead(302, { location }).end()
    return `${bank.issuer}/redirect`
  }

  for (const nothing of [null, '']) {
    it(`N-19: are fetched without an access token if it is ${JSON.stringify(nothing)}, as is a JWT that is`, async () => {
      const endpoint = serveClaims(bank, jwtOf({ credit_score: 1 }))
      const source = { JWT: nothing, endpoint, access_token: nothing }
      const resolved = await resolveClaimsSources(contextOf(), withSource(source))
      assert.deepEqual(resolved, { ...withoutSource(), credit_score: 1 })
      assert.deepEqual(bank.asked[0]?.[1], undefined)
    })
  }

  const tokens: readonly (readonly [name: string, token: Json])[] = [
    ['is a number', 7],
    ['holds a line break', 'a\r\nx-evil: b'],
    ['holds a space', 'a b'],
    ['is not ASCII', '\u00e9'],
    ['is far too long', 'a'.repeat(8193)],
  ]
  for (const [name, token] of tokens) {
    it(`are left out if the access token ${name}`, async () => {
      const source = { endpoint: serveClaims(bank, jwtOf({ credit_score: 1 })), access_token: token }
      assert.deepEqual(await resolveClaimsSources(contextOf(), withSource(source)), withoutSource())
      assert.deepEqual([bank.asked, outcomes], [[], [DISTRUSTED]])
    })
  }
})

describe('an endpoint of distributed claims', () => {
  const endpoints: readonly (readonly [name: string, endpoint: (other: Source) => string])[] = [
    ['at another host', (other) => `${other.issuer}/claims`],
    ['at the same host by its address', () => `${bank.issuer.replace('localhost', '127.0.0.1')}/claims`],
    ['that only begins as one', (other) => `${bank.issuer}@${new URL(other.issuer).host}/claims`],
    ['with a user', () => `${bank.issuer.replace('//', '//user:pass@')}/claims`],
    ['of another scheme', () => 'file:///etc/passwd'],
    ['within a blob', () => `blob:${bank.issuer}/claims`],
    ['without a scheme', () => '/claims'],
    ['that is data', () => 'data:application/jwt,x'],
    ['over https where the provider is not', () => `${bank.issuer.replace('http:', 'https:')}/claims`],
  ]
  for (const [name, endpointAt] of endpoints) {
    it(`is not requested ${name}`, async () => {
      const other = await startSource(bankKeys)
      serveClaims(other, jwtOf({ credit_score: 1 }))
      serveClaims(bank, jwtOf({ credit_score: 1 }))
      const source = { endpoint: endpointAt(other), access_token: TOKEN }
      assert.deepEqual(await resolveClaimsSources(contextOf(), withSource(source)), withoutSource())
      assert.deepEqual([other.asked, bank.asked, op.asked, outcomes.length], [[], [], [], 1])
    })
  }

  it('is not requested over http', async () => {
    const context = contextOf({ dangerouslyAllowInsecureRequests: false })
    const endpoint = serveClaims(bank, jwtOf({ credit_score: 1 }))
    assert.deepEqual(await resolveClaimsSources(context, withSource({ endpoint })), withoutSource())
    assert.deepEqual([bank.asked, outcomes], [[], ['ERR_OIDC_METADATA_INVALID']])
  })

  const hosts: readonly (readonly [host: string, outcome: string])[] = [
    // The name is looked up, and leads to loopback.
    ['localhost', 'ERR_OIDC_PROVIDER_UNREACHABLE'],
    ['127.0.0.1', DISTRUSTED],
    ['2130706433', DISTRUSTED],
    ['[::1]', DISTRUSTED],
    ['[::ffff:127.0.0.1]', DISTRUSTED],
    ['169.254.169.254', DISTRUSTED],
  ]
  for (const [host, outcome] of hosts) {
    it(`is not requested at an internal address, not even at that of the provider: ${host}`, async () => {
      let connections = 0
      const { port } = stopLater(await listen(http.createServer().on('connection', () => connections++)))
      const issuer = `https://${host}:${port}`
      const context = contextOf({ issuer, claimsProviders: [issuer], dangerouslyAllowInsecureRequests: false })
      const hearAll = (message: unknown): void => {
        const event = message as Events['express-oidc:provider']
        if (event.url === issuer) outcomes.push(event.outcome)
      }
      diagnostics.subscribe('express-oidc:provider', hearAll)
      const source = { endpoint: `${issuer}/claims`, access_token: TOKEN }
      const resolved = await resolveClaimsSources(context, withSource(source))
      diagnostics.unsubscribe('express-oidc:provider', hearAll)
      assert.deepEqual([resolved, connections, outcomes], [withoutSource(), 0, [outcome]])
    })
  }

  it('may be at an internal address if insecure requests are allowed', async () => {
    const issuer = bank.issuer.replace('localhost', '127.0.0.1')
    const endpoint = serveClaims(bank, jwtOf({ credit_score: 1 })).replace('localhost', '127.0.0.1')
    const context = contextOf({ claimsProviders: [bank.issuer, issuer] })
    assert.equal((await resolveClaimsSources(context, withSource({ endpoint })))['credit_score'], 1)
  })

  it('is not requested at an internal address with the option fetch either', async () => {
    const asked: string[] = []
    const fetch = async (url: string): Promise<Response> => {
      asked.push(url)
      return new Response('', { status: 404 })
    }
    const config = { ...CLIENT, dangerouslyAllowInsecureRequests: false, fetch }
    for (const [host, count] of [
      ['127.0.0.1', 0],
      ['8.8.8.8', 1],
    ] as const) {
      const issuer = `https://${host}`
      const settings = { ...config, issuer, claimsProviders: [issuer] }
      const context = { ...contextOf(settings), claimsProviders: createClaimsProviders(settings) }
      await resolveClaimsSources(context, withSource({ endpoint: `${issuer}/claims` }))
      assert.equal(asked.length, count)
    }
  })
})

describe('a claims provider', () => {
  const faults: readonly (readonly [name: string, document: () => unknown, outcome: string])[] = [
    [
      'names another issuer',
      () => ({ issuer: `${bank.issuer}/`, jwks_uri: `${bank.issuer}/keys` }),
      'ERR_OIDC_DISCOVERY_ISSUER',
    ],
    ['names no issuer', () => ({ jwks_uri: `${bank.issuer}/keys` }), 'ERR_OIDC_DISCOVERY_ISSUER'],
    ['names no keys', () => ({ issuer: bank.issuer }), 'ERR_OIDC_METADATA_INVALID'],
    ['names keys that are no URL', () => ({ issuer: bank.issuer, jwks_uri: 'keys' }), 'ERR_OIDC_METADATA_INVALID'],
    ['has no document', () => [], 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ]
  for (const [name, document, outcome] of faults) {
    it(`is not trusted if it ${name}`, async () => {
      bank.answers[DISCOVERY] = (_req, res) => sendJson(res, 200, document())
      const resolved = await resolveClaimsSources(contextOf(), withSource({ JWT: jwtOf({ credit_score: 1 }) }))
      assert.deepEqual([resolved, outcomes], [withoutSource(), [outcome]])
    })
  }

  it('that is down gets three requests at once, and is used again two seconds after it has recovered', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { [DISCOVERY]: discover } = bank.answers
    bank.answers[DISCOVERY] = (_req, res) => void res.writeHead(503).end()
    const context = contextOf()
    const given = withSource({ JWT: jwtOf({ credit_score: 1 }) })
    for (let login = 0; login < 20; login++) {
      assert.deepEqual(await resolveClaimsSources(context, given), withoutSource())
    }
    assert.equal(bank.asked.length, 3)
    if (discover) bank.answers[DISCOVERY] = discover
    mock.timers.tick(2000)
    assert.equal((await resolveClaimsSources(context, given))['credit_score'], 1)
  })

  it('fails no login, whatever breaks', async () => {
    const keys = new Map([[bank.issuer, () => Promise.reject(new TypeError('a mistake of ours'))]])
    const context = contextOf()
    const broken = { ...context, claimsProviders: { ...context.claimsProviders, keys } }
    const given = withSource({ JWT: jwtOf({ credit_score: 1 }) })
    assert.deepEqual(await resolveClaimsSources(broken, given), withoutSource())
    assert.deepEqual(outcomes, [DISTRUSTED])
  })

  it('may change its keys', async () => {
    const context = contextOf()
    await resolveClaimsSources(context, withSource({ JWT: jwtOf({ credit_score: 1 }) }))
    bank = Object.assign(bank, { keys: opKeys })
    bank.answers['/keys'] = (_req, res) => sendJson(res, 200, { keys: Object.values(opKeys).map(({ jwk }) => jwk) })
    const resolved = await resolveClaimsSources(context, withSource({ JWT: jwtOf({ credit_score: 2 }) }))
    assert.equal(resolved['credit_score'], 2)
  })
})

describe('a login with claims of other providers', () => {
  const routes = {
    '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
    '/scored': [requireClaim('credit_score', 650), answerJson(() => ({ ok: true }))],
  }
  const stage = createStage({ provider: { idToken: 'thin' }, app: { errorHandler: 'json', routes } })

  /** Has UserInfo speak of one aggregated and one distributed source. */
  function bringSources(change: JwtChange = {}): void {
    const endpoint = serveClaims(bank, jwtOf({ address: { country: 'AT' }, acr: 'strong' }, change))
    const names = { credit_score: 'here', address: 'there', acr: 'there', sub: 'there', email: 'here' }
    const jwt = jwtOf({ credit_score: 650, sub: 'number 7', email: 'mallory@example.test' }, change)
    stage.provider.change.userinfo = (json) => ({
      ...json,
      _claim_names: names,
      _claim_sources: { here: { JWT: jwt }, there: { endpoint, access_token: TOKEN } },
    })
  }

  it('stores them in the session with its own claims, and no token of the sources', async () => {
    bringSources()
    const { app, browser } = await stage.startLoggedIn({ claimsProviders: [bank.issuer] })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual([claims['credit_score'], claims['address']], [650, { country: 'AT' }])
    assert.deepEqual([claims['sub'], claims['acr'], claims['email']], ['user-subject', undefined, 'alice@example.test'])
    assert.deepEqual(Object.keys(Object(claims['_claim_names'])).length, 5)
    assert.equal((await browser.open('/scored')).status, 200)
    const kept = JSON.stringify(await app.records())
    assert.ok(!kept.includes(TOKEN) && !kept.includes('_claim_sources'))
    assert.deepEqual([app.errors, stage.provider.complaints], [[], []])
  })

  it('has them again when UserInfo is requested again', async () => {
    bringSources()
    const { browser } = await stage.startLoggedIn({ claimsProviders: [bank.issuer] })
    const answer = await browser.open('/userinfo')
    assert.equal(answer.json()['credit_score'], 650)
    assert.ok(!answer.body.includes(TOKEN) && !answer.body.includes('_claim_sources'))
  })

  it('continues without them if they are not signed', async () => {
    bringSources({ alg: 'none' })
    const { app, browser } = await stage.startLoggedIn({ claimsProviders: [bank.issuer] })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual(
      [claims['credit_score'], claims['address'], claims['name']],
      [undefined, undefined, 'Alice Example'],
    )
    assert.deepEqual(Object.keys(Object(claims['_claim_names'])).length, 5)
    assert.equal((await browser.open('/scored')).status, 403)
    assert.ok(!JSON.stringify(await app.records()).includes(TOKEN))
  })

  it('sends no request without the option claimsProviders', async () => {
    bringSources()
    const { app, browser } = await stage.startLoggedIn()
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual([claims['credit_score'], claims['_claim_sources'], bank.asked], [undefined, undefined, []])
    assert.ok(!JSON.stringify(await app.records()).includes(TOKEN))
  })

  it('stores no token that came with the ID Token either', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({
      ...claims,
      _claim_names: { groups: 'src1' },
      _claim_sources: { src1: { endpoint: 'https://graph.example.test/groups', access_token: TOKEN } },
    })
    const { browser } = await stage.startLoggedIn()
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual([claims['_claim_names'], claims['_claim_sources']], [{ groups: 'src1' }, undefined])
  })
})

describe('the option claimsProviders', () => {
  const required = {
    issuer: 'https://op.test',
    clientId: 'app',
    clientSecret: 'a'.repeat(32),
    baseUrl: 'https://app.test',
  }

  it('accepts issuers', () => {
    for (const claimsProviders of [[], ['https://bank.test'], ['https://bank.test/a/', 'https://op.test']]) {
      assert.ok(oidc({ ...required, claimsProviders }))
    }
  })

  const wrong: readonly (readonly [name: string, value: unknown, fault: RegExp])[] = [
    ['a text', 'https://bank.test', /claimsProviders must be a list of issuers/],
    ['true', true, /claimsProviders must be a list of issuers/],
    ['an empty text', [''], /claimsProviders\[0\] must be a non-empty string/],
    ['what is no URL', ['https://bank.test', 'bank.test'], /claimsProviders\[1\] /],
    ['a URL with a query', ['https://bank.test?a=b'], /claimsProviders\[0\] /],
    ['one twice', ['https://bank.test', 'https://bank.test'], /claimsProviders must not contain an issuer twice/],
    ['plain http', ['http://bank.test'], /claimsProviders\[0\] must be https/],
  ]
  for (const [name, value, fault] of wrong) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => oidc({ ...required, claimsProviders: value as string[] }),
        (error) => {
          return error instanceof ConfigError && error.faults.length === 1 && fault.test(error.message)
        },
      )
    })
  }
})
