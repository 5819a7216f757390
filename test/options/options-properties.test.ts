import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { ConfigError } from '../../lib/errors.ts'
import { parseAuthorizationParams, readEndSessionParams } from '../../lib/options/authorization-params.ts'
import { adviseOnIssuer, hasPlaceholder } from '../../lib/options/issuer.ts'
import { APP_OPTIONS, PROVIDER_OPTIONS } from '../../lib/options/option-table.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { essentialAcr, parseRequirement } from '../../lib/protocol/step-up.ts'
import { DOCUMENTED_OPTIONS } from '../support/docs/documented-options.ts'
import { anyText, foreignJson, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, isDeeplyFrozen, stopped, syncOutcomeOf } from '../support/properties/outcome.ts'

const CONFIG = /^ERR_OIDC_CONFIG$/
/** In each value that is secret. No error may have it. */
const MARK = 'hush-hush'

const NAMES = [...Object.keys(APP_OPTIONS), ...Object.keys(PROVIDER_OPTIONS)]
const GOOD = {
  issuer: 'https://op.example.com',
  clientId: 'client',
  clientSecret: `a client secret of 32 octets ${MARK}`,
  baseUrl: 'https://app.example.com',
}
const PRIVATE_KEY = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })

/** Values that a program may give where it should have given something else. */
const anyValue: Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }) },
  { weight: 2, arbitrary: foreignJson },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(
      ...[Symbol('one'), [Symbol('one')], 10n, () => undefined, new (class Thing {})(), new URL('https://x.example')],
      ...[
        { toString: null, valueOf: null },
        [{ toString: null, valueOf: null }],
        Object.create(null),
        new Uint8Array(2),
      ],
      ...['', ' ', 'none', 'https://op.example.com', '/login', '/', 0, -1, 60, 1e9, Number.NaN, true, false, [], {}],
      ...[
        'RS256',
        'HS256',
        'ES256',
        'RSA-OAEP',
        'dir',
        'A256GCM',
        'code',
        'code id_token',
        'fragment',
        'oidc',
        'fapi2',
      ],
      ...['{clientId}', '<your-client-id>', 'private_key_jwt', 'tls_client_auth', 'openid', 'body', 'reference'],
    ),
  },
  { weight: 1, arbitrary: anyText },
)

const SECRETS: Arbitrary<Readonly<Record<string, unknown>>> = fc
  .tuple(anyText, fc.constantFrom(MARK, `${MARK} `, `{${MARK}}`, `\u00fc${MARK}`, MARK.repeat(9)))
  .map(([text, mark]) => mark + text)
  .chain((secret) =>
    fc.constantFrom(
      ...[{ clientSecret: secret }, { secret }, { secret: [secret] }, { secret: ['x'.repeat(32), secret] }],
      ...[{ clientKeys: [{ ...PRIVATE_KEY, d: secret }] }, { clientKeys: [{ kty: 'RSA', n: 'AQAB', d: secret }] }],
      ...[{ clientKeys: secret }, { clientKeys: [secret] }, { clientKeys: [{ kty: 'oct', k: secret, kid: 'one' }] }],
      ...[
        { tlsClientCertificate: { cert: secret, key: secret, passphrase: secret } },
        { tlsClientCertificate: secret },
      ],
      ...[{ tlsClientCertificate: { cert: '-----BEGIN X-----', key: `-----BEGIN X-----${secret}` } }],
      ...[{ registration: { initialAccessToken: secret } }, { registration: secret }],
      ...[{ sharedState: { url: secret } }, { sharedState: secret }, { fetch: secret }],
    ),
  )

const anyOptions = fc
  .tuple(
    fc.dictionary(fc.constantFrom(...NAMES), anyValue, { maxKeys: 3 }),
    fc.dictionary(fc.oneof(anyText, fc.constantFrom('__proto__', 'client_id', 'redirectUri', 'toString')), anyValue, {
      maxKeys: 1,
    }),
    fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: SECRETS }),
  )
  .map(([known, unknown, secrets]) => ({ ...GOOD, ...unknown, ...known, ...secrets }))

describe('the options', () => {
  it('become a frozen configuration, or a ConfigError that names the options and holds no secret', () => {
    const paths = [...DOCUMENTED_OPTIONS.map(({ name }) => name), 'options']
    fc.assert(
      fc.property(anyOptions, (options) => {
        const { value, error } = syncOutcomeOf(() => parseOptions(options), CONFIG)
        if (value !== undefined) {
          holds(Object.isFrozen(value) && Object.isFrozen(value.app) && value.clients.every(Object.isFrozen))
          return
        }
        holds(error instanceof ConfigError && error.faults.length > 0)
        for (const fault of error.faults) {
          // The unknown name is the developer's own, and may be any text.
          if (/ is (?:not )?an option/.test(fault)) continue
          assert.match(fault, /^\S[\s\S]*[.?]$/)
          holds(
            paths.some((path) => fault.includes(path)),
            `no option is named: ${fault}`,
          )
          holds(!fault.includes(MARK), fault)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('that are no options at all are refused', () => {
    fc.assert(
      fc.property(anyValue, (options) => {
        const { error } = syncOutcomeOf(() => parseOptions(options), CONFIG)
        holds(error)
      }),
      { numRuns: 200 },
    )
  })

  it('of each provider are checked as those of one, and named with it', () => {
    const providers = fc.dictionary(
      fc.oneof(fc.constantFrom('okta', 'entra', '__proto__', 'toString', ''), fc.string({ maxLength: 3 })),
      fc.oneof(fc.dictionary(fc.constantFrom(...NAMES), anyValue, { maxKeys: 2 }), anyValue),
      { maxKeys: 3 },
    )
    fc.assert(
      fc.property(providers, (given) => {
        const { value, error } = syncOutcomeOf(() => parseOptions({ ...GOOD, providers: given }), CONFIG)
        if (value !== undefined) assert.equal(value.clients.length, Object.keys(given).length)
        else holds(error instanceof ConfigError && error.faults.length > 0)
      }),
      { numRuns: 200 },
    )
  })

  it('are never changed, and what they become later changes nothing', () => {
    const more = fc.record(
      {
        scope: fc.constant('openid email'),
        authorizationParams: fc.constant({ prompt: 'login' }),
        timeout: fc.constant(3),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(more, (given) => {
        const options = { ...GOOD, ...given, routes: { login: '/in' } }
        const before = JSON.stringify(options)
        const { app } = parseOptions(options)
        assert.equal(JSON.stringify(options), before)
        options.routes.login = '/elsewhere'
        assert.equal(app.routes.login, '/in')
      }),
      { numRuns: 20 },
    )
  })
})

describe('the parameters of one login', () => {
  const name = fc.oneof(
    fc.constantFrom(
      'prompt',
      'max_age',
      'claims',
      'resource',
      'acr_values',
      'authorization_details',
      'state',
      '__proto__',
    ),
    anyText,
  )

  it('become text and lists of text that are frozen, or are refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.dictionary(name, anyValue, { maxKeys: 3 }), anyValue), (params) => {
        const { value } = syncOutcomeOf(() => parseAuthorizationParams(params), CONFIG)
        if (value === undefined) return
        holds(Object.isFrozen(value))
        for (const [param, text] of Object.entries(value)) {
          assert.match(param, /^[\w.-]+$/)
          holds([text].flat().every((one) => typeof one === 'string'))
          holds(!['state', 'nonce', 'client_id', 'redirect_uri', '__proto__'].includes(param))
        }
      }),
      { numRuns: 400 },
    )
  })

  it('of a logout are text, or are refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.dictionary(name, anyValue, { maxKeys: 2 }), anyValue), (params) => {
        const endSessionParams = () => params as Readonly<Record<string, string>>
        const { value } = syncOutcomeOf(() => readEndSessionParams({ endSessionParams }, undefined), CONFIG)
        if (value !== undefined) holds(Object.values(value).every((text) => typeof text === 'string' && text !== ''))
      }),
      { numRuns: 200 },
    )
  })

  it('that require a strength are lists of values without spaces, or are refused', () => {
    const member = fc.oneof(
      anyValue,
      fc.array(textOf('urn:okta:loa:2fa:any', 'mfa', ' ', '"'), { maxLength: 3 }),
      fc.nat(),
    )
    const requirement = fc.dictionary(fc.constantFrom('acr', 'amr', 'maxAge', 'maxage'), member, { maxKeys: 3 })
    fc.assert(
      fc.property(fc.oneof(requirement, anyValue), (given) => {
        const { value } = syncOutcomeOf(() => parseRequirement(given), CONFIG)
        if (value === undefined) return
        holds(value.acr ?? value.amr ?? value.maxAge)
        for (const one of [...(value.acr ?? []), ...(value.amr ?? [])]) assert.match(one, /^[!-~]{1,255}$/)
      }),
      { numRuns: 500 },
    )
  })

  it('that have an essential acr name it, whatever the parameter claims is', () => {
    const claims = fc.record({ id_token: fc.oneof(foreignJson, fc.record({ acr: foreignJson })) })
    fc.assert(
      fc.property(
        fc.oneof(
          claims.map((json) => JSON.stringify(json)),
          anyText,
        ),
        (text) => {
          const classes = essentialAcr(text)
          holds(classes === undefined || classes.every((one) => typeof one === 'string'))
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('an issuer', () => {
  it('of any length is looked at in a bounded time', () => {
    const pieces = [
      'https://',
      'http://',
      '/',
      '.okta.com',
      '.com',
      '-admin',
      'a',
      '{',
      '}',
      '<your',
      '>',
      '/.well-known/',
    ]
    fc.assert(
      fc.property(repeated(20_000, ...pieces), (text) => {
        stopped(() => [adviseOnIssuer(text), hasPlaceholder(text), adviseOnIssuer(`https://${text}`)])
      }),
      { numRuns: 40 },
    )
  })
})

describe('a configuration', () => {
  it('holds no list or object that can be changed', () => {
    const { app, clients } = parseOptions({
      ...GOOD,
      routes: { login: '/in' },
      authorizationParams: { prompt: 'login' },
    })
    holds(isDeeplyFrozen(app.routes))
    for (const { authorizationParams } of clients) holds(isDeeplyFrozen(authorizationParams))
  })
})
