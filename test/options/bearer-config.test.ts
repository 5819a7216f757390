import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { Agent } from 'node:https'
import { describe, it } from 'node:test'
import { bearer } from '../../lib/bearer.ts'
import { ConfigError } from '../../lib/errors.ts'
import { parseBearerOptions } from '../../lib/options/bearer-config.ts'
import { BEARER_APP_OPTIONS, BEARER_ISSUER_OPTIONS } from '../../lib/options/bearer-table.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const good = (changes: object = {}): object => ({ issuer: 'https://as.example', audience: 'my-api', ...changes })

function faultsOf(options: unknown): readonly string[] {
  try {
    bearer(options as never)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
  return []
}

const APP_DEFAULTS = {
  allowAnonymous: false,
  allowSession: false,
  realm: 'api',
  baseUrl: undefined,
  senderConstrained: 'allowed',
  dpopSigningAlgs: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
  dpopNonceSecret: undefined,
  sharedState: undefined,
  clientCertificate: undefined,
  resource: undefined,
  resourceMetadata: undefined,
  tokenCacheSize: 4_194_304,
  clockTolerance: 60,
  timeout: 10,
  fetch: undefined,
  agent: undefined,
  ca: undefined,
  dangerouslyAllowInsecureRequests: false,
}

/** A wrong value of each option, and what the message says. */
const WRONG: readonly [object, RegExp][] = [
  [{ issuer: undefined }, /^issuer must be a non-empty string\. Received undefined\.$/],
  [{ issuer: 'http://as.example' }, /^issuer must be https\./],
  [{ issuer: 'https://as.example?x=1' }, /^issuer must be an absolute https URL/],
  [{ issuer: 'https://{tenantid}.example/' }, /^issuer contains a placeholder/],
  [{ audience: undefined }, /^audience must be a list of one or more audiences/],
  [{ audience: '' }, /^audience must be a list/],
  [{ audience: [] }, /^audience must be a list/],
  [{ audience: ['a', ''] }, /^audience\[1\] must be a non-empty string/],
  [{ audienceClaim: 'azp' }, /^audienceClaim must be one of 'aud', 'client_id'/],
  [{ algorithms: [] }, /^algorithms must be a list of signature algorithms/],
  [{ algorithms: 'RS256' }, /^algorithms must be a list/],
  [{ algorithms: ['HS256'] }, /^algorithms\[0\] must be one of/],
  [{ algorithms: ['RS256', 'none'] }, /^algorithms\[1\] must be one of/],
  [{ tenants: ['a'] }, /^tenants needs an issuer that contains \{tenantid\}\.$/],
  [{ issuer: 'https://as.example/{tenantid}/' }, /^tenants is required if issuer contains \{tenantid\}/],
  [{ tenants: [] }, /^tenants must be a list of one or more tenant ids/],
  [{ profile: 'rfc9449' }, /^profile must be one of 'rfc9068'/],
  [{ maxTokenAge: 0 }, /^maxTokenAge must be a whole number of seconds/],
  [{ allowMissingSub: 1 }, /^allowMissingSub must be true or false/],
  [{ dangerouslyAllowUnmarkedTokens: 'yes' }, /^dangerouslyAllowUnmarkedTokens must be true or false/],
  [{ discovery: 'x' }, /^discovery must be 'oidc', 'oauth2'/],
  [
    { providerMetadata: { issuer: 'https://as.example', jwks_uri: 'x' } },
    /^providerMetadata\.jwks_uri must be an absolute/,
  ],
  [
    { providerMetadata: { jwks_uri: 'https://as.example/jwks' } },
    /^providerMetadata\.issuer must be a non-empty string/,
  ],
  [
    { providerMetadata: { issuer: 'https://other.example' } },
    /^providerMetadata must have the issuer of the option issuer/,
  ],
  [{ discovery: 'oauth2', providerMetadata: { issuer: 'https://as.example' } }, /^discovery cannot be combined with/],
  [{ issuer: undefined, issuers: [] }, /^issuers must be a list of issuers, or a function/],
  [{ issuers: ['https://b.example'] }, /^issuer cannot be combined with issuers/],
  [
    { issuer: undefined, issuers: ['https://b.example', 'https://b.example'] },
    /^issuers contains "https:\/\/b\.example" twice/,
  ],
  [{ issuer: undefined, issuers: [{ audience: 'x' }] }, /^issuers\[0\]\.issuer must be a non-empty string/],
  [
    { issuer: undefined, issuers: ['https://b.example', { issuer: 'https://c.example', scope: 'a' }] },
    /^issuers\[1\]\.scope is not an option/,
  ],
  [{ issuer: undefined, issuers: ['http://b.example'] }, /^issuers\[0\]\.issuer must be https/],
  [{ issuer: undefined, issuers: () => undefined, audience: 1 }, /^audience must be a list/],
  [{ allowAnonymous: 'x' }, /^allowAnonymous must be true or false/],
  [{ allowSession: 0 }, /^allowSession must be true or false/],
  [{ realm: 'a "quote"' }, /^realm must be 1 to 100 printable ASCII characters/],
  [{ realm: '' }, /^realm must be/],
  [{ realm: 'a\r\nX: y' }, /^realm must be/],
  [{ baseUrl: 'api.example' }, /^baseUrl must be an absolute https URL/],
  [{ baseUrl: 'http://api.example' }, /^baseUrl must be https/],
  [{ senderConstrained: true }, /^senderConstrained must be one of 'required', 'allowed'/],
  [{ senderConstrained: 'required' }, /^senderConstrained 'required' needs baseUrl \(for DPoP\) or clientCertificate/],
  [{ dpopSigningAlgs: ['HS256'] }, /^dpopSigningAlgs\[0\] must be one of/],
  [{ dpopSigningAlgs: [] }, /^dpopSigningAlgs must be a list/],
  [{ baseUrl: 'https://a.example', dpopNonceSecret: 'short' }, /^dpopNonceSecret must be a string of at least 32/],
  [{ dpopNonceSecret: 'x'.repeat(32) }, /^dpopNonceSecret needs baseUrl or resource/],
  [{ sharedState: {} }, /^sharedState must be redisState\(\)/],
  [{ clientCertificate: 'header' }, /^clientCertificate must be a plain object/],
  [
    { clientCertificate: { header: 'a b', format: 'xfcc', trustedProxies: ['::1'] } },
    /^clientCertificate\.header must be/,
  ],
  [
    { clientCertificate: { header: 'a', format: 'pem', trustedProxies: ['::1'] } },
    /^clientCertificate\.format must be/,
  ],
  [
    { clientCertificate: { header: 'a', format: 'xfcc', trustedProxies: [] } },
    /^clientCertificate\.trustedProxies must be/,
  ],
  [
    { clientCertificate: { header: 'a', format: 'xfcc', trustedProxies: ['x'] } },
    /^clientCertificate\.trustedProxies\[0\] must be/,
  ],
  [{ resource: '/api' }, /^resource must be an absolute https URL/],
  [{ resource: 'http://api.example' }, /^resource must be https/],
  [{ resource: 'https://api.example/#a' }, /^resource must be an absolute https URL/],
  [{ resourceMetadata: {} }, /^resourceMetadata needs resource/],
  [
    { resource: 'https://a.example', resourceMetadata: { resource: 'x' } },
    /^resourceMetadata must not contain resource/,
  ],
  [{ resource: 'https://a.example', resourceMetadata: 'x' }, /^resourceMetadata must be a plain object/],
  [{ introspection: {} }, /^introspection\.clientId must be a non-empty string/],
  [
    { introspection: { clientId: 'a' } },
    /^introspection needs clientSecret, clientKeys, clientAssertion or tlsClientCertificate/,
  ],
  ...[
    { clientKeys: [generatePrivateJwk()] },
    { clientKeys: [generatePrivateJwk()], tokenEndpointAuthMethod: 'client_secret_basic' },
    { clientSecret: 'x', tokenEndpointAuthMethod: 'private_key_jwt' },
    { clientSecret: 'x', tokenEndpointAuthMethod: 'tls_client_auth' },
  ].map((introspection): [object, RegExp] => [
    { introspection: { clientId: 'a', ...introspection } },
    /^introspection needs clientSecret, clientKeys, clientAssertion or tlsClientCertificate, whichever/,
  ]),
  ...[{ clientSecret: 'x' }, { clientSecret: 'x', tokenEndpointAuthMethod: 'client_secret_jwt' }].map(
    (introspection): [object, RegExp] => [
      { introspection: { clientId: 'a', clientAssertion: () => 'x', ...introspection } },
      /^introspection\.clientAssertion needs tokenEndpointAuthMethod 'private_key_jwt'/,
    ],
  ),
  [
    {
      introspection: {
        clientId: 'a',
        clientAssertion: () => 'x',
        tokenEndpointAuthMethod: 'private_key_jwt',
        tokenEndpointAuthSigningAlg: 'ES256',
      },
    },
    /^introspection\.clientAssertion cannot be combined with tokenEndpointAuthSigningAlg/,
  ],
  [
    { introspection: { clientId: 'a', clientAssertion: 'x', tokenEndpointAuthMethod: 'private_key_jwt' } },
    /^introspection\.clientAssertion must be a function/,
  ],
  [{ introspection: { clientId: 'a', clientSecret: 'x', tokens: 'some' } }, /^introspection\.tokens must be one of/],
  [{ introspection: { clientId: 'a', clientSecret: 'x', maxAge: -1 } }, /^introspection\.maxAge must be/],
  [{ introspection: { clientId: 'a', clientSecret: 'x', url: 'x' } }, /^introspection\.url is not an option/],
  [
    {
      introspection: { clientId: 'a', clientSecret: 'x' },
      providerMetadata: { issuer: 'https://as.example', jwks_uri: 'https://as.example/jwks' },
    },
    /^introspection needs introspection_endpoint in providerMetadata/,
  ],
  [
    {
      issuer: undefined,
      issuers: ['https://b.example', 'https://c.example'],
      introspection: { clientId: 'a', clientSecret: 'x' },
    },
    /^introspection is allowed for one of several issuers only/,
  ],
  [{ tokenCacheSize: -1 }, /^tokenCacheSize must be a whole number of bytes/],
  [{ clockTolerance: 301 }, /^clockTolerance must be a whole number of seconds from 0 to 300/],
  [{ timeout: 0 }, /^timeout must be a number of seconds/],
  [{ fetch: 'x' }, /^fetch must be a function/],
  [{ agent: {} }, /^agent must be an https\.Agent/],
  [{ ca: 'authority.pem' }, /^ca must be certificates in PEM/],
  [{ ca: LOOPBACK_CERTIFICATE.cert, agent: new Agent() }, /^ca cannot be combined with agent or fetch/],
  [{ fetch: () => {}, agent: new Agent() }, /^agent cannot be combined with fetch/],
  [{ dangerouslyAllowInsecureRequests: 1 }, /^dangerouslyAllowInsecureRequests must be true or false/],
  [{ audiences: 'x' }, /^audiences is not an option; did you mean audience\?$/],
  [{ issuerBaseURL: 'x' }, /^issuerBaseURL is an option of express-oauth2-jwt-bearer\. Use issuer\.$/],
  [
    { tokenSigningAlg: 'x' },
    /^tokenSigningAlg is an option of express-oauth2-jwt-bearer\. Use algorithms, with a list\.$/,
  ],
  [
    { authRequired: false },
    /^authRequired is an option of express-oauth2-jwt-bearer\. Use allowAnonymous, which is the opposite\.$/,
  ],
]

describe('the options of bearer()', () => {
  it('have defaults', () => {
    const config = parseBearerOptions(good())
    assert.deepEqual(config, {
      ...APP_DEFAULTS,
      issuers: [
        {
          ...APP_DEFAULTS,
          issuer: 'https://as.example',
          audience: ['my-api'],
          audienceClaim: 'aud',
          algorithms: ['RS256'],
          tenants: undefined,
          profile: undefined,
          maxTokenAge: undefined,
          allowMissingSub: false,
          dangerouslyAllowUnmarkedTokens: false,
          discovery: 'oidc',
          providerMetadata: undefined,
          introspection: undefined,
        },
      ],
    })
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.issuers))
  })

  it('are those at the top for an issuer of a list that leaves them out', () => {
    const issuers = ['https://a.example', { issuer: 'https://b.example', audience: 'b' }]
    const config = parseBearerOptions({ audience: 'a', algorithms: ['ES256'], issuers })
    assert.ok(Array.isArray(config.issuers))
    assert.deepEqual(
      config.issuers.map(({ issuer, audience, algorithms }) => [issuer, audience, algorithms]),
      [
        ['https://a.example', ['a'], ['ES256']],
        ['https://b.example', ['b'], ['ES256']],
      ],
    )
  })

  it('are copied', () => {
    const options = { issuer: 'https://as.example', audience: ['my-api'] }
    const { issuers } = parseBearerOptions(options)
    options.audience.push('other')
    assert.deepEqual(Object(issuers)[0].audience, ['my-api'])
  })

  for (const [change, message] of WRONG) {
    it(`are refused with a message: ${message.source}`, () => {
      const faults = faultsOf(good(change))
      assert.equal(faults.length, 1, String(faults))
      assert.match(faults[0] ?? '', message)
    })
  }

  it('each have a row in the table of wrong values', () => {
    const told = WRONG.flatMap(([change]) => Object.keys(change))
    const names = [...Object.keys(BEARER_APP_OPTIONS), ...Object.keys(BEARER_ISSUER_OPTIONS)]
    assert.deepEqual(
      names.filter((name) => !told.includes(name)),
      [],
    )
  })

  it('must be a plain object, and are all reported at once', () => {
    for (const options of [undefined, null, 'x', [], () => {}])
      assert.match(faultsOf(options)[0] ?? '', /^options must be a plain object/)
    assert.equal(faultsOf({ realm: '', timeout: 0, issuer: 'x' }).length, 4)
  })
})

function generatePrivateJwk(): object {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' }
}
