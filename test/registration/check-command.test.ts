import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { type ExitCode, runCommand } from '../../lib/command/command.ts'
import { describeDifference, type Findings, reportOn } from '../../lib/command/provider-report.ts'
import { suggestOptions, toCode, toOptions } from '../../lib/command/suggested-options.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createStage, share } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'
import { startProvider } from '../support/servers/provider.ts'
import { answered, type JsonObject } from '../support/strict-provider/changes.ts'

interface Outcome {
  readonly code: ExitCode
  readonly printed: string
  readonly warned: string
}

async function run(...args: readonly string[]): Promise<Outcome> {
  let printed = ''
  let warned = ''
  const code = await runCommand(args, {
    env: {},
    print: (text) => {
      printed += text
    },
    warn: (text) => {
      warned += text
    },
  })
  // What a terminal could take for a command.
  assert.doesNotMatch(printed + warned, /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u)
  return { code, printed, warned }
}

describe('express-oidc generate-secret', () => {
  it('prints another secret each time, which the option secret accepts', async () => {
    const outcomes = [await run('generate-secret'), await run('generate-secret')]
    const [one = '', other] = outcomes.map(({ printed }) => printed.trim())
    assert.notEqual(one, other)
    assert.match(one, /^[\w-]{43}$/)
    assert.match(String(outcomes[0]?.warned), /Keep this secret/)
    const options = { issuer: 'https://id.example', clientId: 'app', baseUrl: 'https://app.example', secret: one }
    assert.deepEqual(parseOptions(options).app.secrets, [one])
  })

  it('has no options', async () => {
    assert.equal((await run('generate-secret', '--alg', 'RS256')).code, 2)
    assert.equal((await run('generate-secret', 'long')).code, 2)
  })
})

describe('express-oidc check at oidc-provider', () => {
  const provider = share(() => startProvider())
  const check = (...more: readonly string[]): Promise<Outcome> =>
    run('check', '--issuer', provider().issuer, '--insecure', ...more)

  it('prints what it supports, what to register, and options that work', async () => {
    const { code, printed, warned } = await check('--client-id', provider().clientId)
    assert.deepEqual([code, warned], [0, ''])
    for (const line of [
      /^ {2}PKCE +S256$/m,
      /^ {2}Logout at the provider +yes$/m,
      /^ {2}redirect_uris +http:\/\/localhost:3000\/callback$/m,
      /^The provider knows this client ID and redirect URI\.$/m,
      /^ {6}clientId: 'test-client',$/m,
      /^ {2}- Back-channel logout: /m,
    ]) {
      assert.match(printed, line)
    }
    assert.doesNotMatch(printed, /Logins will fail|backchannel_logout_uri/)
  })

  it('says that a redirect URI is not registered', async () => {
    const { code, printed } = await check('--client-id', provider().clientId, '--base-url', 'https://app.example.com')
    assert.equal(code, 1)
    assert.match(printed, /Logins will fail\n\n {2}- The provider refuses the authorization request \(400\)\. /)
  })

  it('asks about the path of --callback, and suggests the option for it', async () => {
    const { code, printed } = await check('--client-id', provider().clientId, '--callback', '/oauth2/redirect')
    assert.equal(code, 0)
    assert.match(printed, /^ {2}redirect_uris +http:\/\/localhost:3000\/oauth2\/redirect$/m)
    assert.match(printed, /^ {6}routes: \{ callback: '\/oauth2\/redirect' \},$/m)
    assert.match(printed, /^The provider knows this client ID and redirect URI\.$/m)
    assert.equal((await check('--callback', 'redirect')).code, 1)
  })

  it('says that a client is unknown', async () => {
    const { code, printed } = await check('--client-id', 'nobody')
    assert.equal(code, 1)
    assert.match(printed, /^The provider refuses this client ID or redirect URI\.$/m)
  })

  it('sends no authorization request without --client-id, and prints the name of a variable', async () => {
    provider().requests.length = 0
    const { code, printed } = await check()
    assert.equal(code, 0)
    assert.deepEqual(provider().count('/auth'), 0)
    assert.match(printed, /^ {6}clientId: OIDC_CLIENT_ID,$/m)
  })

  it('prints the same as JSON', async () => {
    const report = JSON.parse((await check('--client-id', provider().clientId, '--json')).printed)
    assert.deepEqual(report.register.redirect_uris, ['http://localhost:3000/callback'])
    assert.deepEqual([report.client, report.problems, report.supports.PKCE], ['known', [], 'S256'])
  })

  it('names the code of what went wrong: the issuer, or the place of its metadata', async () => {
    const { issuer } = provider()
    for (const [wrong, expected] of [
      [`${issuer}/`, 'ERR_OIDC_DISCOVERY_ISSUER'],
      [`${issuer}/tenant`, 'ERR_OIDC_PROVIDER_STATUS'],
      [`${issuer}/.well-known/openid-configuration`, 'ERR_OIDC_CONFIG'],
      ['http://127.0.0.1:1', 'ERR_OIDC_PROVIDER_UNREACHABLE'],
    ] as const) {
      const { code, printed, warned } = await run('check', '--issuer', wrong, '--insecure')
      assert.deepEqual([code, printed, warned.split(':')[0]], [1, '', expected])
    }
  })

  it('is a wrong call without an issuer, and with plain http without --insecure', async () => {
    for (const args of [
      [],
      ['--issuer', ''],
      ['--issuer', provider().issuer],
      ['--issuer', 'https://a.example', 'b'],
    ]) {
      assert.equal((await run('check', ...args)).code, 2)
    }
  })
})

describe('express-oidc check at a provider that bends its answers', () => {
  const stage = createStage()
  const check = (...more: readonly string[]): Promise<Outcome> =>
    run('check', '--issuer', stage.provider.issuer, '--insecure', ...more)
  const bend = (changes: JsonObject, headers: Readonly<Record<string, string>> = {}): void => {
    stage.provider.change.discovery = (json, answer) => {
      Object.assign(answer.headers, headers)
      return { ...json, ...changes }
    }
  }

  it('says by how much a clock is off, and that logins fail then', async () => {
    bend({}, { Date: new Date(Date.now() + 3_600_000).toUTCString() })
    const { code, printed } = await check()
    assert.equal(code, 1)
    assert.match(printed, /- The clock of the provider is about 60 minutes ahead of this one\. .*clockTolerance/)
  })

  it('says that the provider does not tell the time', async () => {
    bend({}, { Date: 'some day' })
    const { code, printed } = await check()
    assert.equal(code, 0)
    assert.match(printed, /^The provider does not say what time it is\.$/m)
  })

  it('says of keys that are no list, or no JSON, that they cannot be read', async () => {
    for (const keys of [{ keys: 'none' }, { keys: undefined }]) {
      stage.provider.change.jwks = () => keys
      assert.match((await check()).printed, /- The keys of the provider could not be read from jwks_uri/)
    }
  })

  it('asks nothing at the authorization endpoint of a provider that takes no plain request', async () => {
    for (const changes of [{ require_signed_request_object: true }, { require_pushed_authorization_requests: true }]) {
      bend(changes)
      const before = stage.provider.calls['/authorize']
      await check('--client-id', stage.provider.clientId)
      assert.equal(stage.provider.calls['/authorize'], before)
    }
  })

  it('counts the age that a cache adds to the date', async () => {
    bend({}, { Date: new Date(Date.now() - 3_600_000).toUTCString(), Age: '3600' })
    const { clockDifference } = JSON.parse((await check('--json')).printed)
    assert.ok(Math.abs(clockDifference) <= 60, String(clockDifference))
  })

  it('finds metadata at the place of RFC 8414, and prints the option for it', async () => {
    let metadata = ''
    const server = createServer((req, res) => {
      const isThere = req.url === '/.well-known/oauth-authorization-server'
      res.writeHead(isThere ? 200 : 404, { 'content-type': 'application/json' }).end(isThere ? metadata : '{}')
    })
    const { port } = stage.stopLater(await listen(server))
    const issuer = `http://127.0.0.1:${port}`
    const at = (path: string): string => `${issuer}/${path}`
    const endpoints = { authorization_endpoint: at('auth'), token_endpoint: at('token'), jwks_uri: at('keys') }
    metadata = JSON.stringify({ ...GOOD, issuer, ...endpoints })
    const { printed } = await run('check', '--issuer', issuer, '--insecure')
    assert.match(printed, /oauth-authorization-server$/m)
    assert.match(printed, /^ {6}discovery: 'oauth2',$/m)
  })

  it('says that there is no metadata at either place', async () => {
    stage.provider.change.discovery = answered(404, {})
    const { code, warned } = await check()
    assert.deepEqual([code, warned.split(':')[0]], [1, 'ERR_OIDC_PROVIDER_STATUS'])
    const suggested = suggestOptions(
      { issuer: 'https://a.example', clientId: 'app', baseUrl: 'https://b.example' },
      {},
      'oauth2',
    )
    assert.match(toCode(suggested), /^ {4}discovery: 'oauth2',$/m)
  })

  it('refuses metadata without jwks_uri', async () => {
    bend({ jwks_uri: undefined })
    assert.match((await check()).warned, /^ERR_OIDC_METADATA_INVALID: .*jwks_uri/)
  })

  it('says that the keys cannot be read, or that none is for the algorithm', async () => {
    stage.provider.change.jwks = answered(500, {})
    assert.match((await check()).printed, /- The keys of the provider could not be read from jwks_uri/)
    stage.provider.change.jwks = () => ({ keys: [{ kty: 'RSA', use: 'enc' }, { kty: 'oct' }, 'key', null] })
    assert.match((await check()).printed, /- The provider publishes no key for RS256 at jwks_uri\./)
  })

  it('shows nothing of the provider that a terminal could take for a command', async () => {
    bend({
      scopes_supported: ['openid', 'profile', 'email', '\u001b[2J\u202e\n'],
      dpop_signing_alg_values_supported: [7, {}],
    })
    const { code, printed } = await check()
    assert.equal(code, 0)
    assert.match(printed, /^ {2}DPoP +no$/m)
  })

  const authorize: Readonly<Record<string, readonly [status: number, location: string, line: RegExp]>> = {
    'another error': [
      302,
      'http://localhost:3000/callback?error=unauthorized_client',
      /request: unauthorized_client\.$/m,
    ],
    'an error with commands for a terminal': [
      302,
      'http://localhost:3000/callback?error=%1b%5b2J',
      /request: {2}\[2J\.$/m,
    ],
    'a redirect elsewhere': [302, 'http://localhost:3000/other', /does not say whether it knows/],
    'a redirect to nowhere': [302, 'http://', /does not say whether it knows/],
    'an error of its own': [500, '', /does not say whether it knows/],
    'a fragment': [
      303,
      'http://localhost:3000/callback#error=login_required',
      /knows this client ID and redirect URI\.$/m,
    ],
  }
  for (const [name, [status, location, line]] of Object.entries(authorize)) {
    it(`judges an authorization endpoint that responds with ${name}`, async () => {
      stage.provider.change.raw['/authorize'] = (_req, res) => void res.writeHead(status, { location }).end()
      assert.match((await check('--client-id', 'app')).printed, line)
    })
  }

  it('survives an authorization endpoint that resets the connection', async () => {
    stage.provider.change.raw['/authorize'] = (req) => void req.socket.destroy()
    assert.match((await check('--client-id', 'app')).printed, /does not say whether it knows/)
  })
})

/** Metadata of a provider that supports everything that is judged. */
const GOOD: JsonObject = {
  issuer: 'https://id.example',
  end_session_endpoint: 'https://id.example/logout',
  userinfo_endpoint: 'https://id.example/userinfo',
  revocation_endpoint: 'https://id.example/revoke',
  backchannel_logout_supported: true,
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
  id_token_signing_alg_values_supported: ['RS256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic'],
  grant_types_supported: ['authorization_code', 'refresh_token'],
  scopes_supported: ['openid', 'profile', 'email'],
}
const ASKED = { issuer: 'https://id.example', clientId: "o'hara", baseUrl: 'https://app.example' }

function findings(changes: JsonObject = {}, more: Partial<Findings> = {}): Findings {
  const metadata = { ...GOOD, ...changes }
  return {
    ...{ issuer: ASKED.issuer, metadataUrl: '', metadata, clockDifference: 0, probe: undefined },
    keys: [{ kty: 'RSA' }, { kty: 'EC', crv: 'P-256', alg: 'ES256' }],
    suggested: suggestOptions(ASKED, metadata, 'oidc'),
    ...more,
  }
}

describe('the report on a provider', () => {
  it('finds nothing at a provider that supports everything', () => {
    const { problems, limits, register, registerAt } = reportOn(findings())
    assert.deepEqual([problems, limits, registerAt], [[], [], undefined])
    assert.equal(register['backchannel_logout_uri'], 'https://app.example/backchannel-logout')
    assert.equal(register['frontchannel_logout_uri'], undefined)
  })

  const options: Readonly<Record<string, readonly [changes: JsonObject, expected: JsonObject]>> = {
    client_secret_post: [
      { token_endpoint_auth_methods_supported: ['client_secret_post'] },
      { tokenEndpointAuthMethod: 'client_secret_post' },
    ],
    'a public client': [{ token_endpoint_auth_methods_supported: ['none'] }, { clientSecret: undefined }],
    private_key_jwt: [
      { token_endpoint_auth_methods_supported: ['private_key_jwt'] },
      { tokenEndpointAuthMethod: 'private_key_jwt', clientSecret: undefined },
    ],
    'ES256 only': [
      { id_token_signing_alg_values_supported: ['ES256', 'HS256'] },
      { idTokenSignedResponseAlg: 'ES256' },
    ],
    'HS256 only': [{ id_token_signing_alg_values_supported: ['HS256'] }, { idTokenSignedResponseAlg: 'HS256' }],
    'no code flow': [{ response_types_supported: ['token id_token', 'id_token'] }, { responseType: 'id_token' }],
    'form_post only': [{ response_modes_supported: ['form_post'] }, { responseMode: 'form_post' }],
    'pushed requests only': [
      { require_pushed_authorization_requests: true },
      { requirePushedAuthorizationRequests: true },
    ],
    'no scope email': [{ scopes_supported: ['openid', 'profile'] }, { scope: 'openid profile' }],
    'no lists at all': [
      Object.fromEntries(
        Object.keys(GOOD)
          .filter((name) => name.endsWith('_supported'))
          .map((name) => [name, undefined]),
      ),
      {
        scope: undefined,
        responseType: undefined,
        tokenEndpointAuthMethod: undefined,
        idTokenSignedResponseAlg: undefined,
      },
    ],
  }
  for (const [name, [changes, expected]] of Object.entries(options)) {
    it(`suggests options that oidc() accepts: ${name}`, () => {
      const { suggested } = findings(changes)
      const given = toOptions(suggested)
      assert.deepEqual(Object.fromEntries(Object.keys(expected).map((option) => [option, given[option]])), expected)
      assert.doesNotThrow(() => parseOptions(given))
      assert.deepEqual(reportOn(findings(changes)).problems, [])
    })
  }

  it('prints code that calls oidc() with these options, and reads secrets from the environment', () => {
    const metadata = { ...GOOD, token_endpoint_auth_methods_supported: ['private_key_jwt'] }
    const body = toCode(suggestOptions(ASKED, metadata, 'oidc')).replace(/^import .*$/m, '')
    const calls: unknown[] = []
    const env = { OIDC_CLIENT_KEY: '{"kty":"EC"}', OIDC_SECRET: 's'.repeat(43) }
    new Function('oidc', 'app', 'process', body)((given: unknown) => calls.push(given), { use: () => {} }, { env })
    assert.deepEqual(calls, [
      {
        ...ASKED,
        tokenEndpointAuthMethod: 'private_key_jwt',
        clientKeys: [{ kty: 'EC' }],
        secret: env.OIDC_SECRET,
      },
    ])
  })

  const problems: Readonly<Record<string, readonly [Findings, RegExp]>> = {
    'a clock that is 61 seconds behind': [findings({}, { clockDifference: -61 }), /61 seconds behind this one/],
    'client authentication with a certificate only': [
      findings({ token_endpoint_auth_methods_supported: ['tls_client_auth'] }),
      /See tokenEndpointAuthMethod, and tlsClientCertificate/,
    ],
    'PKCE without S256': [findings({ code_challenge_methods_supported: ['plain'] }), /dangerouslyDisablePkce/],
    'signatures that are unknown': [findings({ id_token_signing_alg_values_supported: ['XS256'] }), /does not verify/],
    'unsigned ID Tokens': [findings({ id_token_signing_alg_values_supported: ['none'] }), /does not verify/],
    'no key of the algorithm': [findings({ id_token_signing_alg_values_supported: ['EdDSA'] }), /no key for EdDSA/],
    'a key of another algorithm': [findings({}, { keys: [{ kty: 'RSA', alg: 'PS256' }] }), /no key for RS256/],
    'signed requests': [findings({ require_signed_request_object: true }), /requestObjectSigningAlg/],
    'an option that oidc() refuses': [
      findings({}, { suggested: suggestOptions({ ...ASKED, baseUrl: 'app.example' }, GOOD, 'oidc') }),
      /^baseUrl must be/,
    ],
  }
  for (const [name, [found, sentence]] of Object.entries(problems)) {
    it(`says that logins will fail: ${name}`, () => {
      const found_ = reportOn(found).problems
      assert.equal(found_.length, 1, found_.join())
      assert.match(String(found_[0]), sentence)
    })
  }

  it('tolerates a clock within clockTolerance', () => {
    assert.deepEqual(reportOn(findings({}, { clockDifference: 60 })).problems, [])
    assert.deepEqual([1, -90, 7200].map(describeDifference), [
      '1 seconds ahead of',
      '90 seconds behind',
      'about 120 minutes ahead of',
    ])
  })

  const limits: Readonly<Record<string, JsonObject>> = {
    'Logout at the provider': { end_session_endpoint: undefined },
    'Back-channel logout': { backchannel_logout_supported: false },
    UserInfo: { userinfo_endpoint: undefined },
    'Refresh tokens': { grant_types_supported: undefined },
    'Token revocation': { revocation_endpoint: undefined },
  }
  for (const [name, changes] of Object.entries(limits)) {
    it(`says what will not work: ${name}`, () => {
      const found = reportOn(findings(changes)).limits
      assert.deepEqual([found.length, found[0]?.split(':')[0]], [1, name])
    })
  }

  const consoles: Readonly<Record<string, string>> = {
    'https://example.okta.com/oauth2/default': 'Okta',
    'https://example.eu.auth0.com/': 'Auth0',
    'https://login.microsoftonline.com/common/v2.0': 'Entra ID',
    'https://accounts.google.com': 'Google Cloud',
    'https://sso.example/realms/main': 'Keycloak',
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a': 'Cognito',
  }
  for (const [issuer, product] of Object.entries(consoles)) {
    it(`says where to register at ${product}`, () => {
      assert.equal(reportOn(findings({}, { issuer })).registerAt?.split(':')[0], product)
    })
  }
})
