import assert from 'node:assert/strict'
import { afterEach, before, beforeEach, describe, it, mock } from 'node:test'
import { OidcError } from '../../lib/errors.ts'
import { readResponseJwt } from '../../lib/protocol/authorization-response.ts'
import { verifyIdToken } from '../../lib/protocol/id-token.ts'
import { verifyGlobalRevocationToken, verifyLogoutToken } from '../../lib/protocol/logout-token.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import { createTokenVerifier } from '../../lib/provider/provider-token.ts'
import {
  CLIENT_ID,
  CLIENT_SECRET,
  ISSUER,
  scriptedConfig,
  scriptedProvider,
  signedWithSecret,
} from '../support/properties/scripted-provider.ts'

const NOW = 1_800_000_000
const RECEIVED = 'https://received.example'

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW * 1000 }))
afterEach(() => mock.timers.reset())

const respond = () => ({ body: '{"keys":[]}' })
const OPTIONS = {
  clientSecret: CLIENT_SECRET,
  idTokenSignedResponseAlg: 'HS256',
  authorizationSignedResponseAlg: 'HS256',
  responseMode: 'query.jwt',
}
const { clockTolerance } = scriptedConfig(respond, OPTIONS)
let provider: Provider
before(async () => {
  provider = await scriptedProvider(respond, OPTIONS)
})

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, String(error))
  return error.message
}

const CLOCKS = `(clockTolerance is ${clockTolerance}). Check the clocks of both servers.`
const ISSUER_ADVICE = 'Check the option issuer (a trailing slash counts).'
const claims = { iss: ISSUER, sub: 'jane', aud: CLIENT_ID, nonce: 'n', iat: NOW, exp: NOW + 300 }
const late = NOW - clockTolerance

/** One claim or header is changed. The details are for operators, the other message may reach a browser. */
const ROWS: readonly (readonly [change: object, header: object, details: string, message: string])[] = [
  [
    { iss: RECEIVED },
    {},
    `has the issuer "${RECEIVED}", expected "${ISSUER}". ${ISSUER_ADVICE}`,
    `does not have the issuer "${ISSUER}". ${ISSUER_ADVICE}`,
  ],
  [
    { aud: [RECEIVED, 'b'] },
    {},
    `has the audience ["${RECEIVED}","b"], expected the clientId "${CLIENT_ID}". Check clientId.`,
    `is not for the clientId "${CLIENT_ID}". Check clientId.`,
  ],
  [
    { azp: RECEIVED },
    {},
    `was issued to the client "${RECEIVED}" (azp), expected "${CLIENT_ID}". Check clientId.`,
    `was not issued to the clientId "${CLIENT_ID}" (azp). Check clientId.`,
  ],
  [{ exp: late - 312 }, {}, `expired ${312 + clockTolerance} seconds ago ${CLOCKS}`, `has expired ${CLOCKS}`],
  [
    { exp: 'soon' },
    {},
    'does not say when it expires: exp must be seconds since 1970.',
    'does not say when it expires: exp must be seconds since 1970.',
  ],
  [{ iat: NOW + 999 }, {}, `was issued 999 seconds in the future ${CLOCKS}`, `was issued in the future ${CLOCKS}`],
  [
    { iat: NOW - 99_999 },
    {},
    `was issued 99999 seconds ago, but at most 86400 seconds are allowed ${CLOCKS}`,
    `was issued more than 86400 seconds ago ${CLOCKS}`,
  ],
  [
    { iat: undefined },
    {},
    'does not say when it was issued: iat must be seconds since 1970.',
    'does not say when it was issued: iat must be seconds since 1970.',
  ],
  [{ nbf: NOW + 999 }, {}, `becomes valid in 999 seconds (nbf) ${CLOCKS}`, `is not valid yet (nbf) ${CLOCKS}`],
  [
    { nbf: '7' },
    {},
    'has an nbf claim that is not seconds since 1970.',
    'has an nbf claim that is not seconds since 1970.',
  ],
  [
    { auth_time: NOW - 999 },
    {},
    `says that the user authenticated 999 seconds ago (auth_time). The login requested max_age 7 (clockTolerance is ${clockTolerance}).`,
    `has an auth_time that is not recent enough. The login requested max_age 7 (clockTolerance is ${clockTolerance}).`,
  ],
  [
    {},
    { alg: 'ES256' },
    `is signed with "ES256", but idTokenSignedResponseAlg is 'HS256'.`,
    `is not signed with 'HS256', the value of idTokenSignedResponseAlg.`,
  ],
  [{}, { typ: 'at+jwt' }, `has the typ "at+jwt", expected 'JWT'.`, `has another typ than 'JWT'.`],
  [
    {},
    { crit: ['exp'] },
    'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).',
    'has a crit or b64 header. Extensions of JWS are not supported (RFC 7515 4.1.11).',
  ],
]

describe('the message of a refused ID Token', () => {
  const expected = { issuer: ISSUER, clientId: CLIENT_ID, clockTolerance, nonce: 'n', maxAge: 7 }
  const refuse = async (change: object, header: object, errorStatus?: number): Promise<string> => {
    const token = signedWithSecret({ ...claims, auth_time: NOW, ...change }, { alg: 'HS256', ...header })
    const verify = await createTokenVerifier(provider, 'ID_TOKEN')
    return await messageOf(verifyIdToken(verify, token, expected, errorStatus))
  }

  for (const [change, header, details, message] of ROWS) {
    const name = JSON.stringify({ ...change, ...header }, (_, value: unknown) => value ?? null)
    it(`says what came and what was expected: ${name}`, async () => {
      assert.equal(await refuse(change, header), `The ID Token ${details}`)
    })

    it(`says only what was expected if it came through the browser: ${name}`, async () => {
      assert.equal(await refuse(change, header, 400), `The ID Token ${message}`)
    })
  }

  it('escapes what came', async () => {
    const message = await refuse({ iss: '<b>\n\u2028' }, {})
    assert.match(message, /^The ID Token has the issuer "\\u003cb\\u003e\\n\\u2028", expected /)
  })

  for (const change of [
    { nonce: 'planted-nonce' },
    { sub: '' },
    { c_hash: 'planted-hash' },
    { s_hash: 'planted-hash' },
  ]) {
    it(`never shows what came: ${JSON.stringify(change)}`, async () => {
      assert.doesNotMatch(await refuse(change, {}), /planted|jane/)
    })
  }
})

describe('the message of a refused token that a request brings', () => {
  const logout = {
    ...{ iss: ISSUER, aud: CLIENT_ID, iat: NOW, exp: NOW + 60, jti: 'jti', sub: 'jane' },
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  }
  const response = { iss: ISSUER, aud: CLIENT_ID, exp: NOW + 60, code: 'code', state: 'state' }
  const url = 'https://app.example.com/token-revocation'
  const revocation = { iss: ISSUER, sub: CLIENT_ID, aud: url, jti: 'jti', iat: NOW, exp: NOW + 60 }
  const header = { alg: 'HS256', typ: 'global-token-revocation+jwt' }
  const kinds: Readonly<Record<string, (change: object, headerChange?: object) => Promise<unknown>>> = {
    'logout token': (change, other) =>
      verifyLogoutToken(provider, signedWithSecret({ ...logout, ...change }, { alg: 'HS256', ...other })),
    'authorization response': (change, other) => {
      const token = signedWithSecret({ ...response, ...change }, { alg: 'HS256', ...other })
      return readResponseJwt(provider, new Map([['response', token]]))
    },
    'revocation token': (change, other) =>
      verifyGlobalRevocationToken(
        provider,
        signedWithSecret({ ...revocation, ...change }, { ...header, ...other }),
        url,
      ),
  }
  for (const [noun, verify] of Object.entries(kinds)) {
    it(`names the expected issuer, never the received one: ${noun}`, async () => {
      await verify({})
      const message = await messageOf(verify({ iss: RECEIVED }))
      assert.equal(message, `The ${noun} does not have the issuer "${ISSUER}". ${ISSUER_ADVICE}`)
    })

    it(`shows no received audience, instant, algorithm or type: ${noun}`, async () => {
      const changes: readonly (readonly [object, object?])[] = [
        [{ aud: RECEIVED }],
        [{ exp: late - 312 }],
        [{}, { alg: 'planted' }],
        [{}, { typ: 'planted' }],
        [{}, { kid: 7 }],
      ]
      for (const change of changes) {
        const message = await messageOf(verify(...change))
        assert.doesNotMatch(message, /received|planted|\d{10}|312/)
        assert.ok(message.startsWith(`The ${noun} `), message)
      }
    })
  }
})
