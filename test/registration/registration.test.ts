import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent } from 'node:https'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { ConfigError, type ErrorCode, OidcError, ProviderError } from '../../lib/errors.ts'
import { clientMetadataOf } from '../../lib/options/client-document.ts'
import type { Config } from '../../lib/options/config.ts'
import type { Options } from '../../lib/options/options.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import type {
  ClientChanges,
  ClientMetadata,
  ClientStore,
  RegisteredClient,
  RegistrationOptions,
} from '../../lib/options/registration-options.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createClientRegistration } from '../../lib/registration/own-client.ts'
import {
  adviseOnClient,
  deleteClient,
  findRegistrationEndpoint,
  fromOktaApp,
  listClients,
  type RegistrationEndpointOptions,
  readClient,
  registerClient,
  rotateClientSecret,
  toOktaApp,
  updateClient,
} from '../../lib/registration.ts'
import { type AnyOptions, startApp } from '../support/app/app.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { startProvider } from '../support/servers/provider.ts'
import {
  type RegistrationProvider,
  type RegistrationProviderOptions,
  startRegistrationProvider,
} from '../support/servers/registration-provider.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const METADATA: ClientMetadata = { client_name: 'Portal', redirect_uris: ['https://app.example.com/callback'] }
const TOKEN = 'initial-token-of-a-test'
const DAY = 86_400

const stopLater = stopAfterEach()
afterEach(() => mock.timers.reset())

async function start(options: RegistrationProviderOptions = {}): Promise<RegistrationProvider> {
  return stopLater(await startRegistrationProvider(options))
}

/** A provider and its registration endpoint. */
async function startWithEndpoint(
  options: RegistrationProviderOptions = {},
  more: Partial<RegistrationEndpointOptions> = {},
) {
  const provider = await start(options)
  const endpoint = await findRegistrationEndpoint({
    issuer: provider.origin,
    dangerouslyAllowInsecureRequests: true,
    ...(options.token === undefined ? {} : { initialAccessToken: options.token }),
    ...(options.style === 'okta' ? { initialAccessTokenScheme: 'SSWS' } : {}),
    ...more,
  })
  provider.calls.length = 0
  return { provider, endpoint }
}

const startOkta = () => startWithEndpoint({ style: 'okta', token: TOKEN })

async function refuses(promise: Promise<unknown>, code: ErrorCode): Promise<OidcError> {
  const error = await promise.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code, inspect(error))
  assert.doesNotMatch(error.message, /secret-|token-of/)
  return error
}

async function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of list) items.push(item)
  return items
}

function advance(seconds: number): void {
  mock.timers.setTime(Date.now() + seconds * 1000)
}

describe('finding the registration endpoint', () => {
  it('reads it in the metadata of the issuer', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    assert.equal(endpoint.url, `${provider.origin}/register`)
    assert.equal(endpoint.issuer, provider.origin)
  })

  it('sends no request if it is named', async () => {
    const endpoint = await findRegistrationEndpoint({
      registrationEndpoint: 'https://op.example.com/register',
      timeout: 120,
    })
    assert.equal(endpoint.url, 'https://op.example.com/register')
    assert.equal(endpoint.issuer, undefined)
  })

  const answers: readonly [string, (metadata: Record<string, unknown>) => unknown, ErrorCode][] = [
    ['metadata without it', ({ registration_endpoint: _, ...rest }) => rest, 'ERR_OIDC_REGISTRATION_UNSUPPORTED'],
    ['metadata with null', (all) => ({ ...all, registration_endpoint: null }), 'ERR_OIDC_REGISTRATION_UNSUPPORTED'],
    ['metadata with no URL', (all) => ({ ...all, registration_endpoint: '/register' }), 'ERR_OIDC_METADATA_INVALID'],
    ['another issuer', (all) => ({ ...all, issuer: 'https://other.example.com' }), 'ERR_OIDC_DISCOVERY_ISSUER'],
    ['a list', () => [], 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ]
  for (const [name, change, code] of answers) {
    it(`rejects ${name}`, async () => {
      const provider = await start()
      const metadata = { issuer: provider.origin, registration_endpoint: provider.endpoint }
      provider.answer = (_, res) => {
        res.setHeader('Content-Type', 'application/json').end(JSON.stringify(change(metadata)))
        return true
      }
      const options = { issuer: provider.origin, dangerouslyAllowInsecureRequests: true }
      await refuses(findRegistrationEndpoint(options), code)
    })
  }

  const wrong: readonly [string, object][] = [
    ['neither issuer nor endpoint', {}],
    ['an issuer with the discovery path', { issuer: 'https://op.example.com/.well-known/openid-configuration' }],
    ['an endpoint that is no URL', { registrationEndpoint: 'register' }],
    ['an endpoint with a fragment', { registrationEndpoint: 'https://op.example.com/register#a' }],
    ['a token with a line break', { issuer: 'https://op.example.com', initialAccessToken: 'a\r\nb' }],
    ['a token that is none', { issuer: 'https://op.example.com', initialAccessToken: 5 }],
    ['an unknown scheme', { issuer: 'https://op.example.com', initialAccessTokenScheme: 'Basic' }],
    ['a timeout of zero', { issuer: 'https://op.example.com', timeout: 0 }],
    ['a timeout that is text', { issuer: 'https://op.example.com', timeout: '5' }],
    ['a name that is not known', { issuer: 'https://op.example.com', token: 'secret-' }],
  ]
  for (const [name, options] of wrong) {
    it(`rejects the options: ${name}`, async () => {
      await refuses(findRegistrationEndpoint(options), 'ERR_OIDC_CONFIG')
    })
  }

  it('sends nothing over plain http without dangerouslyAllowInsecureRequests', async () => {
    const provider = await start()
    await refuses(findRegistrationEndpoint({ issuer: provider.origin }), 'ERR_OIDC_METADATA_INVALID')
    const endpoint = await findRegistrationEndpoint({
      registrationEndpoint: provider.endpoint,
      initialAccessToken: TOKEN,
    })
    await refuses(registerClient(endpoint, METADATA), 'ERR_OIDC_METADATA_INVALID')
    assert.equal(provider.calls.length, 0)
  })
})

describe('a client by RFC 7592', () => {
  it('is registered, read, changed and deleted', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const client = await registerClient(endpoint, METADATA)
    assert.equal(client.client_id, 'client-1')
    assert.equal(client.client_name, 'Portal')
    assert.match(String(client.client_secret), /^secret-/)
    assert.equal(client.registration_client_uri, `${provider.endpoint}/client-1`)
    assert.ok(Math.abs(client.registeredAt - Date.now() / 1000) < 5)

    assert.deepEqual(await readClient(endpoint, client), client)
    const changed = await updateClient(endpoint, client, { client_name: 'The portal' })
    assert.equal(changed.client_name, 'The portal')
    assert.deepEqual(changed.redirect_uris, METADATA.redirect_uris)
    assert.equal(changed.client_secret, client.client_secret)
    assert.notEqual(changed.registration_access_token, client.registration_access_token)
    await refuses(readClient(endpoint, client), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')

    await deleteClient(endpoint, changed)
    assert.equal(provider.clients.size, 0)
    const entry = '/register/client-1'
    assert.deepEqual(provider.asked, [
      'POST /register',
      `GET ${entry}`,
      `PUT ${entry}`,
      `GET ${entry}`,
      `DELETE ${entry}`,
    ])
    const [register, read, update] = provider.calls
    assert.equal(register?.headers.authorization, undefined)
    assert.equal(register?.headers['content-type'], 'application/json')
    assert.equal(read?.headers.authorization, `Bearer ${client.registration_access_token}`)
    assert.deepEqual(update?.body, {
      ...METADATA,
      client_name: 'The portal',
      token_endpoint_auth_method: 'client_secret_basic',
      client_id: 'client-1',
    })
  })

  it('is registered with an initial access token that no later request sends', async () => {
    const { provider, endpoint } = await startWithEndpoint({ token: TOKEN })
    await readClient(endpoint, await registerClient(endpoint, METADATA))
    assert.deepEqual(
      provider.calls.map(({ headers }) => headers.authorization === `Bearer ${TOKEN}`),
      [true, false],
    )
  })

  it('gets the token from a function at each request', async () => {
    let count = 0
    const more = {
      initialAccessToken: async () => {
        count += 1
        return TOKEN
      },
    }
    const { endpoint } = await startWithEndpoint({ token: TOKEN }, more)
    await registerClient(endpoint, METADATA)
    await registerClient(endpoint, METADATA)
    assert.equal(count, 2)
  })

  const givers: readonly [string, () => unknown][] = [
    ['throws', () => assert.fail('vault is sealed')],
    ['returns nothing', () => undefined],
    ['returns an empty text', () => ''],
    ['returns two lines', () => 'a\nb'],
    ['returns a number', () => 5],
  ]
  for (const [name, initialAccessToken] of givers) {
    it(`sends nothing if that function ${name}`, async () => {
      const provider = await start()
      const options = { registrationEndpoint: provider.endpoint, dangerouslyAllowInsecureRequests: true }
      const give = initialAccessToken as () => string
      const endpoint = await findRegistrationEndpoint({ ...options, initialAccessToken: give })
      await refuses(registerClient(endpoint, METADATA), 'ERR_OIDC_CONFIG')
      assert.equal(provider.calls.length, 0)
    })
  }

  it('keeps unknown members in an update, and removes those that are null', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const own = {
      ...METADATA,
      'client_name#de': 'Das Portal',
      x_vendor: { deep: [1] },
      logo_uri: 'https://a.example/l',
    }
    const client = await registerClient(endpoint, own)
    await updateClient(endpoint, client, { logo_uri: null, client_id: 'other' })
    assert.deepEqual(provider.clients.get('client-1')?.metadata, {
      ...METADATA,
      'client_name#de': 'Das Portal',
      x_vendor: { deep: [1] },
      client_id: 'client-1',
      token_endpoint_auth_method: 'client_secret_basic',
    })
  })

  it('may get no new secret: then isNew is false, and the registration token is new', async () => {
    const { endpoint } = await startWithEndpoint()
    const client = await registerClient(endpoint, METADATA)
    const { client: same, isNew } = await rotateClientSecret(endpoint, client)
    assert.equal(isNew, false)
    assert.equal(same.client_secret, client.client_secret)
    assert.notEqual(same.registration_access_token, client.registration_access_token)
    await readClient(endpoint, same)
  })

  it('may get a new secret with an update', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const client = await registerClient(endpoint, METADATA)
    provider.renewsSecrets = true
    const { client: renewed, isNew } = await rotateClientSecret(endpoint, client)
    assert.equal(isNew, true)
    assert.notEqual(renewed.client_secret, client.client_secret)
  })

  it('is accepted with status 200, and without an expiry of its secret', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    provider.answer = (_, res) => {
      res.setHeader('Content-Type', 'application/json').end('{"client_id":"a","client_secret":"b"}')
      return true
    }
    const { registeredAt: _, ...client } = await registerClient(endpoint, METADATA)
    assert.deepEqual(client, { client_id: 'a', client_secret: 'b' })
  })

  it('cannot be listed', async () => {
    const { endpoint } = await startWithEndpoint()
    await refuses(collect(listClients(endpoint)), 'ERR_OIDC_REGISTRATION_REFUSED')
  })
})

describe('a client at Okta', () => {
  it('is registered, read, changed, given a new secret and deleted with one token', async () => {
    const { provider, endpoint } = await startOkta()
    const types = { response_types: ['code', 'id_token'], grant_types: ['authorization_code', 'implicit'] }
    const client = await registerClient(endpoint, { ...METADATA, ...types })
    assert.deepEqual(client.response_types, ['id_token', 'code'])
    assert.equal('logo_uri' in client, false)
    assert.equal(client.client_secret_expires_at, 0)

    const read = await readClient(endpoint, client)
    assert.equal(read.client_secret, client.client_secret)
    const changed = await updateClient(endpoint, read, { client_name: 'Other' })
    assert.equal(changed.client_secret, client.client_secret)
    assert.equal(changed.client_name, 'Other')

    const { client: renewed, isNew } = await rotateClientSecret(endpoint, changed)
    assert.equal(isNew, true)
    assert.notEqual(renewed.client_secret, client.client_secret)
    assert.equal(renewed.client_secret, provider.clients.get('client-1')?.secret)
    await deleteClient(endpoint, renewed)

    assert.deepEqual(provider.asked, [
      'POST /oauth2/v1/clients',
      'GET /oauth2/v1/clients/client-1',
      'PUT /oauth2/v1/clients/client-1',
      'POST /oauth2/v1/clients/client-1/lifecycle/newSecret',
      'DELETE /oauth2/v1/clients/client-1',
    ])
    assert.ok(provider.calls.every(({ headers }) => headers.authorization === `SSWS ${TOKEN}`))
  })

  it('gets a new secret with an empty body, also over a fetch function', async () => {
    const options = { style: 'okta', token: TOKEN } as const
    const { endpoint } = await startWithEndpoint(options, { fetch: (url, init) => fetch(url, init) })
    const client = await registerClient(endpoint, METADATA)
    assert.equal((await rotateClientSecret(endpoint, client)).isNew, true)
  })

  it('may be identified by its id only', async () => {
    const { endpoint } = await startOkta()
    await registerClient(endpoint, METADATA)
    const read = await readClient(endpoint, { client_id: 'client-1' })
    assert.equal(read.client_name, 'Portal')
    assert.ok(Math.abs(read.registeredAt - Date.now() / 1000) < 5)
    const known = { client_id: 'client-1', client_secret_expires_at: 0 }
    assert.ok((await readClient(endpoint, known)).registeredAt > 7)
    assert.equal((await readClient(endpoint, { ...known, client_id_issued_at: 7 })).registeredAt, 7)
  })

  it('has no secret to renew if it is public', async () => {
    const { endpoint } = await startOkta()
    const client = await registerClient(endpoint, { ...METADATA, token_endpoint_auth_method: 'none' })
    assert.equal(client.client_secret, undefined)
    const error = await refuses(rotateClientSecret(endpoint, client), 'ERR_OIDC_REGISTRATION_SECRET')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'E0000007')
  })

  it('gets no secret if the response has none', async () => {
    const { provider, endpoint } = await startOkta()
    const client = await registerClient(endpoint, METADATA)
    provider.tell = (members) => ({ ...members, client_secret: null })
    await refuses(rotateClientSecret(endpoint, client), 'ERR_OIDC_REGISTRATION_SECRET')
  })

  it('needs a name', async () => {
    const { endpoint } = await startOkta()
    const error = await refuses(registerClient(endpoint, { redirect_uris: [] }), 'ERR_OIDC_REGISTRATION_REFUSED')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'invalid_client_metadata')
  })

  it('is refused if it is unknown', async () => {
    const { endpoint } = await startOkta()
    const error = await refuses(readClient(endpoint, { client_id: 'gone' }), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'invalid_client')
    await refuses(deleteClient(endpoint, { client_id: 'gone' }), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
  })

  it('is refused with a bearer token instead of an API token', async () => {
    const { endpoint } = await startWithEndpoint(
      { style: 'okta', token: TOKEN },
      { initialAccessTokenScheme: 'Bearer' },
    )
    const error = await refuses(registerClient(endpoint, METADATA), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'E0000011')
    assert.equal(error.errorId, 'oaeSomething')
  })

  it('is one segment of the path, whatever its id', async () => {
    const { provider, endpoint } = await startOkta()
    await refuses(readClient(endpoint, { client_id: 'a/../b?c#d' }), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
    assert.deepEqual(provider.asked, ['GET /oauth2/v1/clients/a%2F..%2Fb%3Fc%23d'])
    for (const id of ['.', '..'])
      await refuses(readClient(endpoint, { client_id: id }), 'ERR_OIDC_REGISTRATION_RESPONSE')
  })
})

describe('the list of clients', () => {
  it('is read page by page, as far as it is needed', async () => {
    const { provider, endpoint } = await startOkta()
    for (const name of ['a1', 'a2', 'b1', 'a3']) await registerClient(endpoint, { ...METADATA, client_name: name })
    provider.calls.length = 0
    const names = (await collect(listClients(endpoint, { query: 'a', limit: 2 }))).map((client) => client.client_name)
    assert.deepEqual(names, ['a1', 'a2', 'a3'])
    assert.deepEqual(provider.asked, [
      'GET /oauth2/v1/clients?q=a&limit=2',
      'GET /oauth2/v1/clients?q=a&limit=2&after=2',
    ])
    for await (const _ of listClients(endpoint, { limit: 2 })) break
    assert.equal(provider.calls.length, 3)
    assert.equal((await collect(listClients(endpoint))).length, 4)
  })

  const links: readonly [string, string][] = [
    ['another host', '<https://evil.example.com/clients>; rel="next"'],
    ['another port', '<http://127.0.0.1:1/clients>; rel=next'],
    ['another scheme', '<javascript:alert(1)>; rel="self next"'],
    ['no URL', '<https://[>; title="a, b"; rel="NEXT"'],
    ['the same page', '</oauth2/v1/clients>; rel="next"'],
  ]
  for (const [name, link] of links) {
    it(`stops at a next page that is ${name}`, async () => {
      const { provider, endpoint } = await startOkta()
      provider.answer = (_, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json', Link: link }).end('[]')
        return true
      }
      await refuses(collect(listClients(endpoint)), 'ERR_OIDC_REGISTRATION_RESPONSE')
      assert.equal(provider.calls.length, 1)
    })
  }

  for (const link of [
    '<https://evil.example.com/>; rel="prev"',
    '<https://evil.example.com/>',
    'next',
    '<a>; rel=nexte',
    undefined,
  ]) {
    it(`ends at ${link ?? 'no link'}`, async () => {
      const { provider, endpoint } = await startOkta()
      provider.answer = (_, res) => {
        res.writeHead(200, { 'Content-Type': 'application/json', ...(link && { Link: link }) }).end('[]')
        return true
      }
      assert.deepEqual(await collect(listClients(endpoint)), [])
    })
  }

  for (const body of ['{}', 'null', '[null]', '[{}]', '<html>']) {
    it(`is rejected as ${body}`, async () => {
      const { provider, endpoint } = await startOkta()
      provider.answer = (_, res) => {
        res.setHeader('Content-Type', 'application/json').end(body)
        return true
      }
      await refuses(collect(listClients(endpoint)), 'ERR_OIDC_REGISTRATION_RESPONSE')
    })
  }
})

describe('a hostile response to a registration', () => {
  const changes: readonly [string, Record<string, unknown>][] = [
    ['no client_id', { client_id: undefined }],
    ['a client_id that is null', { client_id: null }],
    ['an empty client_id', { client_id: '' }],
    ['a client_id that is a number', { client_id: 7 }],
    ['a client_id with a line break', { client_id: 'a\r\nb' }],
    ['a secret that is an object', { client_secret: { a: 'secret-' } }],
    ['an empty secret', { client_secret: '' }],
    ['a secret with a line break', { client_secret: 'secret-\n' }],
    ['an expiry that is text', { client_secret_expires_at: 'soon' }],
    ['a negative expiry', { client_secret_expires_at: -1 }],
    ['a registration token with a space', { registration_access_token: 'a b' }],
    ['redirect URIs that are one text', { redirect_uris: 'https://app.example.com/callback' }],
    ['redirect URIs that are numbers', { redirect_uris: [1] }],
    ['an authentication method that is a list', { token_endpoint_auth_method: ['none'] }],
    ['an entry on another host', { registration_client_uri: 'https://evil.example.com/register/client-1' }],
    ['an entry on another port', { registration_client_uri: 'http://127.0.0.1:1/register/client-1' }],
    ['an entry with credentials', { registration_client_uri: 'http://user@127.0.0.1/register' }],
    ['an entry that is relative', { registration_client_uri: '/register/client-1' }],
    ['an entry that is a list', { registration_client_uri: [] }],
    ['an entry with a fragment', { registration_client_uri: 'SELF#a' }],
  ]
  for (const [name, change] of changes) {
    it(`is rejected with ${name}`, async () => {
      const { provider, endpoint } = await startWithEndpoint()
      provider.tell = (members) => ({
        ...members,
        ...change,
        ...(change['registration_client_uri'] === 'SELF#a'
          ? { registration_client_uri: `${provider.endpoint}/a#a` }
          : {}),
      })
      const error = await refuses(registerClient(endpoint, METADATA), 'ERR_OIDC_REGISTRATION_RESPONSE')
      assert.doesNotMatch(inspect(error), /evil|secret-/)
    })
  }

  for (const [name, value] of [
    ['client_id_issued_at', '1700000000'],
    ['client_id_issued_at', -1],
    ['response_types', 'code'],
    ['grant_types', [1]],
    ['post_logout_redirect_uris', {}],
  ] as const) {
    it(`N-8: registers with the odd member ${name}: ${inspect(value)}, and says so in an event`, async () => {
      const { provider, endpoint } = await startWithEndpoint()
      const events: string[] = []
      const listener = (message: unknown) => events.push(inspect(message))
      subscribe('express-oidc:error', listener)
      provider.tell = (members) => ({ ...members, [name]: value })
      const client = await registerClient(endpoint, METADATA)
      const changed = await updateClient(endpoint, client, {})
      unsubscribe('express-oidc:error', listener)
      for (const { [name]: member } of [client, changed]) assert.equal(member, undefined)
      assert.match(String(client.client_secret), /^secret-/)
      assert.equal(events.length, 2)
      for (const event of events) assert.match(event, new RegExp(`no valid ${name}`))
      assert.doesNotMatch(events.join(), /1700000000|secret-/)
    })
  }

  it('N-8: keeps what was requested in the place of an odd list, so that an update sends it again', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const grants = { grant_types: ['authorization_code', 'refresh_token'] }
    provider.tell = (members) => ({ ...members, grant_types: 'authorization_code refresh_token' })
    const client = await registerClient(endpoint, { ...METADATA, ...grants })
    assert.deepEqual(client.grant_types, grants.grant_types)
    await updateClient(endpoint, client, { client_name: 'The portal' })
    assert.deepEqual(provider.calls.at(-1)?.body?.['grant_types'], grants.grant_types)
  })

  const bodies: readonly [string, number, string, string, ErrorCode][] = [
    ['HTML', 200, 'text/html', '<h1>Log in</h1>', 'ERR_OIDC_REGISTRATION_RESPONSE'],
    ['JSON as HTML', 201, 'text/html', '{"client_id":"a"}', 'ERR_OIDC_REGISTRATION_RESPONSE'],
    ['a list', 201, 'application/json', '[]', 'ERR_OIDC_REGISTRATION_RESPONSE'],
    ['nothing', 201, 'application/json', '', 'ERR_OIDC_REGISTRATION_RESPONSE'],
    ['an odd prototype', 201, 'application/json', '{"__proto__":{"client_id":"a"}}', 'ERR_OIDC_REGISTRATION_RESPONSE'],
    ['202', 202, 'application/json', '{"client_id":"a"}', 'ERR_OIDC_REGISTRATION_REFUSED'],
    ['403', 403, 'application/json', '{}', 'ERR_OIDC_REGISTRATION_UNAUTHORIZED'],
    ['429', 429, 'application/json', '{}', 'ERR_OIDC_PROVIDER_BUSY'],
    ['500', 500, 'text/plain', 'secret-', 'ERR_OIDC_PROVIDER_STATUS'],
    ['a redirect', 307, 'text/plain', '', 'ERR_OIDC_PROVIDER_REDIRECT'],
    ['2 MiB', 201, 'application/json', ' '.repeat(2 ** 21), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ]
  for (const [name, status, type, body, code] of bodies) {
    it(`is rejected with ${name}`, async () => {
      const { provider, endpoint } = await startWithEndpoint({ token: TOKEN })
      provider.answer = (_, res) => {
        res.writeHead(status, { 'Content-Type': type, Location: 'https://evil.example.com/' }).end(body)
        return true
      }
      await refuses(registerClient(endpoint, METADATA), code)
      assert.equal(provider.calls.length, 1)
    })
  }

  it('may contain names of object members without harm', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const odd = JSON.parse('{"__proto__":{"client_secret":"x"},"constructor":"y","toString":1}')
    provider.tell = (members) => ({ client_id: members['client_id'], ...odd })
    const client = await registerClient(endpoint, METADATA)
    assert.equal(client.client_secret, undefined)
  })

  it('about another client is rejected', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const client = await registerClient(endpoint, METADATA)
    provider.tell = (members) => ({ ...members, client_id: 'other' })
    await refuses(readClient(endpoint, client), 'ERR_OIDC_REGISTRATION_RESPONSE')
    await refuses(updateClient(endpoint, client, {}), 'ERR_OIDC_REGISTRATION_RESPONSE')
  })

  it('does not matter for a stored client, whose URL is checked too', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    const client = await registerClient(endpoint, METADATA)
    const stored = { ...client, registration_client_uri: 'https://evil.example.com/a' }
    provider.calls.length = 0
    for (const work of [readClient, deleteClient, rotateClientSecret]) {
      await refuses(work(endpoint, stored), 'ERR_OIDC_REGISTRATION_RESPONSE')
    }
    assert.equal(provider.calls.length, 0)
  })

  it('may have its URL on the host of the issuer', async () => {
    const provider = await start()
    const http = createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: true })
    const none = { initialAccessToken: undefined, initialAccessTokenScheme: undefined }
    const url = provider.endpoint.replace('127.0.0.1', 'localhost')
    await refuses(registerClient({ http, url, issuer: undefined, ...none }, METADATA), 'ERR_OIDC_REGISTRATION_RESPONSE')
    const client = await registerClient({ http, url, issuer: provider.origin, ...none }, METADATA)
    assert.equal(client.client_id, 'client-2')
  })
})

describe('the ways to connect', () => {
  it('are one at most: fetch, agent or ca', async () => {
    const ca = LOOPBACK_CERTIFICATE.cert
    const issuer = 'https://id.example.com'
    for (const ways of [
      { agent: new Agent(), ca },
      { fetch, ca },
      { fetch, agent: new Agent() },
    ]) {
      await refuses(findRegistrationEndpoint({ issuer, ...ways }), 'ERR_OIDC_CONFIG')
    }
    for (const wrong of [{ ca: 'authority.pem' }, { agent: {} as Agent }]) {
      await refuses(findRegistrationEndpoint({ issuer, ...wrong }), 'ERR_OIDC_CONFIG')
    }
  })
})

describe('metadata that contradicts itself', () => {
  const cases: readonly [string, ClientMetadata][] = [
    ['jwks and jwks_uri', { jwks: { keys: [] }, jwks_uri: 'https://app.example.com/jwks' }],
    ['a private RSA key', { jwks: { keys: [{ kty: 'RSA', n: 'a', e: 'AQAB', d: 'secret-' }] } }],
    ['a symmetric key', { jwks: { keys: [{ kty: 'oct', k: 'secret-' }] } }],
    ['a redirect URI with a fragment', { redirect_uris: ['https://app.example.com/callback#a'] }],
    ['a hybrid type without its grants', { response_types: ['code id_token'], grant_types: ['authorization_code'] }],
    ['an implicit type without its grant', { response_types: ['id_token'] }],
    ['code without its grant', { grant_types: ['client_credentials'] }],
  ]
  for (const [name, change] of cases) {
    it(`is not sent: ${name}`, async () => {
      const { provider, endpoint } = await startWithEndpoint()
      const error = await refuses(registerClient(endpoint, { ...METADATA, ...change }), 'ERR_OIDC_CONFIG')
      assert.ok(error instanceof ConfigError)
      assert.equal(error.faults.length, 1)
      const client = await registerClient(endpoint, METADATA)
      await refuses(updateClient(endpoint, client, change), 'ERR_OIDC_CONFIG')
      assert.equal(provider.calls.length, 1)
    })
  }

  it('is accepted if the provider has made it', async () => {
    const { provider, endpoint } = await startWithEndpoint()
    provider.tell = (members) => ({ ...members, response_types: ['id_token'] })
    const client = await registerClient(endpoint, METADATA)
    await updateClient(endpoint, client, { client_name: 'Other' })
    assert.equal(provider.calls.length, 2)
  })

  it('does not include a service of Okta, or public keys', async () => {
    const { endpoint } = await startWithEndpoint()
    const service = { application_type: 'service', response_types: ['token'], grant_types: ['client_credentials'] }
    await registerClient(endpoint, { ...METADATA, ...service, jwks: { keys: [{ kty: 'RSA', n: 'a', e: 'AQAB' }] } })
  })
})

describe('advice on metadata', () => {
  const cases: readonly [string, ClientMetadata, RegExp][] = [
    ['no name', {}, /^client_name/],
    ['a grant without use', { client_name: 'a', grant_types: ['authorization_code', 'implicit'] }, /implicit/],
    [
      'a code grant without use',
      { client_name: 'a', response_types: ['id_token'], grant_types: ['implicit', 'authorization_code'] },
      /^grant_types contains authorization_code/,
    ],
    [
      'web without its grant',
      { client_name: 'a', response_types: ['token'], grant_types: ['implicit'] },
      /must contain authorization_code/,
    ],
    ['a browser with a secret', { client_name: 'a', application_type: 'browser' }, /should be none/],
    ['a native app with a secret', { client_name: 'a', application_type: 'native' }, /should be none/],
    [
      'a service with more grants',
      {
        client_name: 'a',
        application_type: 'service',
        response_types: ['token'],
        grant_types: ['client_credentials', 'implicit'],
      },
      /^grant_types must be client_credentials/,
    ],
  ]
  for (const [name, metadata, sentence] of cases) {
    it(`is one sentence for ${name}`, () => {
      const advice = adviseOnClient(metadata)
      assert.equal(advice.length, 1, advice.join())
      assert.match(String(advice[0]), sentence)
    })
  }

  it('is empty for a usual client', () => {
    assert.deepEqual(adviseOnClient(METADATA), [])
    assert.deepEqual(
      adviseOnClient({ ...METADATA, application_type: 'browser', token_endpoint_auth_method: 'none' }),
      [],
    )
  })
})

describe('an app of the Apps API', () => {
  const metadata = {
    client_name: 'Portal',
    client_id: 'portal',
    client_secret: 'a-secret',
    client_secret_expires_at: 0,
    token_endpoint_auth_method: 'client_secret_post',
    redirect_uris: ['https://app.example.com/callback'],
    grant_types: ['authorization_code'],
    logo_uri: null,
  }
  const app = {
    name: 'oidc_client',
    signOnMode: 'OPENID_CONNECT',
    label: 'Portal',
    credentials: {
      oauthClient: {
        client_id: 'portal',
        client_secret: 'a-secret',
        token_endpoint_auth_method: 'client_secret_post',
      },
    },
    settings: {
      oauthClient: {
        consent_method: 'REQUIRED',
        redirect_uris: ['https://app.example.com/callback'],
        grant_types: ['authorization_code'],
      },
    },
  }

  it('is made from client metadata, with consent as in a registration', () => {
    assert.deepEqual(toOktaApp(metadata as unknown as ClientMetadata), app)
    assert.deepEqual(toOktaApp({ consent_method: 'TRUSTED' }), {
      name: 'oidc_client',
      signOnMode: 'OPENID_CONNECT',
      credentials: { oauthClient: {} },
      settings: { oauthClient: { consent_method: 'TRUSTED' } },
    })
  })

  it('becomes client metadata', () => {
    const { logo_uri: _, client_secret_expires_at: __, ...members } = metadata
    const oktaApp = {
      ...app,
      status: 'ACTIVE',
      _links: {},
      settings: { oauthClient: { ...app.settings.oauthClient, x: null } },
    }
    assert.deepEqual(fromOktaApp(oktaApp), { ...members, consent_method: 'REQUIRED' })
    assert.deepEqual(fromOktaApp({ label: 5, credentials: null, settings: { oauthClient: [] } }), {})
  })
})

/** A store in memory that counts reads, and can fail. */
function createStore(): ClientStore & {
  kept: Map<string, RegisteredClient>
  reads: number
  fails: 'read' | 'write' | ''
} {
  const kept = new Map<string, RegisteredClient>()
  const store = {
    kept,
    reads: 0,
    fails: '' as 'read' | 'write' | '',
    read: async (key: string) => {
      store.reads += 1
      if (store.fails === 'read') throw new Error('the disk is gone')
      return kept.get(key)
    },
    write: async (key: string, client: RegisteredClient) => {
      if (store.fails === 'write') throw new Error('the disk is full')
      kept.set(key, client)
    },
    remove: async (key: string) => void kept.delete(key),
  }
  return store
}

function configOf(issuer: string, registration: RegistrationOptions, more: Partial<Options> = {}): Config {
  const { clients } = parseOptions({
    issuer,
    registration,
    baseUrl: 'https://app.example.com',
    secret: 's'.repeat(32),
    dangerouslyAllowInsecureRequests: true,
    ...more,
  })
  return clients[0] ?? assert.fail('there is no client')
}

describe('an application that registers itself', () => {
  let provider: RegistrationProvider
  let store: ReturnType<typeof createStore>
  let metadata: Record<string, unknown>

  beforeEach(async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 10, 23) })
    provider = await start()
    store = createStore()
    metadata = { registration_endpoint: provider.endpoint }
  })

  /** One process. Several may share the store. */
  function createProcess(registration: Partial<RegistrationOptions> = {}, more: Partial<Options> = {}) {
    const config = configOf(provider.origin, { store, ...registration }, more)
    const http = createHttpClient(config)
    const own = createClientRegistration({ http, config, registration: { store, ...registration } })
    return { ...own, current: () => own.current(metadata) }
  }

  async function startOkta(): Promise<void> {
    provider = await start({ style: 'okta', token: TOKEN })
    metadata = { registration_endpoint: provider.endpoint }
  }
  const OKTA = { initialAccessToken: TOKEN, initialAccessTokenScheme: 'SSWS' } as const

  it('does so once, at first use, for concurrent calls', async () => {
    const app = createProcess()
    assert.equal(store.reads, 0)
    const clients = await Promise.all([app.current(), app.current(), app.current()])
    assert.deepEqual(
      clients.map(({ client_id }) => client_id),
      ['client-1', 'client-1', 'client-1'],
    )
    await app.current()
    assert.deepEqual(provider.asked, ['POST /register'])
    assert.deepEqual([...store.kept.keys()], [provider.origin])
    assert.deepEqual(provider.calls[0]?.body, {
      backchannel_logout_uri: 'https://app.example.com/backchannel-logout',
      backchannel_logout_session_required: true,
      frontchannel_logout_uri: 'https://app.example.com/frontchannel-logout',
      frontchannel_logout_session_required: true,
      client_name: 'app.example.com',
      redirect_uris: ['https://app.example.com/callback'],
      post_logout_redirect_uris: ['https://app.example.com'],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'client_secret_basic',
    })
  })

  it('sends no request after a restart', async () => {
    const client = await createProcess().current()
    provider.calls.length = 0
    metadata = {}
    assert.deepEqual(await createProcess().current(), client)
    assert.equal(provider.calls.length, 0)
  })

  it('has one client for each of its providers', async () => {
    const { clients } = parseOptions({
      providers: { one: { issuer: provider.origin }, two: { issuer: provider.origin } },
      registration: { store },
      baseUrl: 'https://app.example.com',
      secret: 's'.repeat(32),
      dangerouslyAllowInsecureRequests: true,
    })
    for (const config of clients) {
      await createClientRegistration({ http: createHttpClient(config), config, registration: { store } }).current(
        metadata,
      )
    }
    assert.deepEqual([...store.kept.keys()], [`${provider.origin} one`, `${provider.origin} two`])
  })

  it('needs the endpoint only to register', async () => {
    metadata = {}
    await refuses(createProcess().current(), 'ERR_OIDC_REGISTRATION_UNSUPPORTED')
  })

  it('does not register again within 30 seconds of a failure', async () => {
    const app = createProcess()
    provider.answer = (_, res) => {
      res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":"invalid_client_metadata"}')
      return true
    }
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_REFUSED')
    provider.answer = undefined
    advance(29)
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_REFUSED')
    assert.equal(provider.calls.length, 1)
    advance(1)
    assert.equal((await app.current()).client_id, 'client-1')
  })

  it('does not wait if the clock was set back', async () => {
    const app = createProcess()
    metadata = {}
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_UNSUPPORTED')
    advance(-3600)
    metadata = { registration_endpoint: provider.endpoint }
    await app.current()
  })

  it('uses the client of another process that was faster, and deletes its own', async () => {
    const first = await createProcess().current()
    store.kept.clear()
    provider.answer = () => {
      // While our request is under way, another one is stored.
      store.kept.set(provider.origin, first)
      provider.answer = undefined
      return false
    }
    const client = await createProcess().current()
    assert.equal(client.client_id, 'client-1')
    assert.deepEqual([...provider.clients.keys()], ['client-1'])
    assert.deepEqual(store.kept.get(provider.origin), first)
  })

  it('uses that client even if its own cannot be deleted', async () => {
    const first = await createProcess().current()
    store.kept.clear()
    provider.answer = ({ method }, res) => {
      store.kept.set(provider.origin, first)
      if (method === 'DELETE') res.writeHead(500).end()
      return method === 'DELETE'
    }
    assert.equal((await createProcess().current()).client_id, 'client-1')
  })

  it('keeps a client that the store fails to save, and registers no second one', async () => {
    const app = createProcess()
    store.fails = 'write'
    const error = await refuses(app.current(), 'ERR_OIDC_REGISTRATION_STORE')
    assert.match(String(error.cause), /disk is full/)
    app.reload()
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_STORE')
    store.fails = ''
    const client = await app.current()
    assert.equal(client.client_id, 'client-1')
    assert.deepEqual(store.kept.get(provider.origin), client)
    assert.deepEqual(provider.asked, ['POST /register'])
  })

  it('passes on an OidcError of the store', async () => {
    const error = new OidcError('ERR_OIDC_REGISTRATION_STORE', 'mine')
    const own = { ...store, read: () => Promise.reject(error) }
    await assert.rejects(createProcess({ store: own }).current(), error)
  })

  it('passes on an error that does not come from the provider', async () => {
    provider.secretLife = 1000
    const config = configOf(provider.origin, { store })
    const http = { ...createHttpClient(config) }
    const app = createClientRegistration({ http, config, registration: { store } })
    await app.current(metadata)
    http.request = () => Promise.reject(new TypeError('a mistake'))
    advance(1000)
    await assert.rejects(app.current(metadata), TypeError)
  })

  it('registers nothing if the store cannot be read', async () => {
    store.fails = 'read'
    await refuses(createProcess().current(), 'ERR_OIDC_REGISTRATION_STORE')
    assert.equal(provider.calls.length, 0)
  })

  it('saves the response even if the store cannot be read meanwhile', async () => {
    provider.answer = () => {
      store.fails = 'read'
      return false
    }
    const client = await createProcess().current()
    assert.deepEqual(store.kept.get(provider.origin), client)
  })

  for (const odd of [
    {},
    { client_id: 'a' },
    { client_id: 5, registeredAt: 1 },
    { client_id: '', registeredAt: 1 },
    'a',
  ]) {
    it(`rejects a store that returns ${inspect(odd)}`, async () => {
      store.kept.set(provider.origin, odd as RegisteredClient)
      await refuses(createProcess().current(), 'ERR_OIDC_REGISTRATION_STORE')
      assert.equal(provider.calls.length, 0)
    })
  }

  it('treats null from a store as no client', async () => {
    const app = createProcess({ store: { ...store, read: async () => null as unknown as undefined } })
    assert.equal((await app.current()).client_id, 'client-1')
  })

  it('refuses a client with other redirect URIs, and accepts one with a wildcard', async () => {
    await createProcess().current()
    const other = { baseUrl: 'https://other.example.com' }
    await refuses(createProcess({}, other).current(), 'ERR_OIDC_REGISTRATION_MISMATCH')
    const stored = store.kept.get(provider.origin) ?? assert.fail()
    store.kept.set(provider.origin, { ...stored, redirect_uris: ['https://*.example.com/callback'] })
    await createProcess({}, other).current()
    const { redirect_uris: _, ...withoutUris } = stored
    store.kept.set(provider.origin, withoutUris as RegisteredClient)
    await createProcess({}, other).current()
  })

  it('does not replace a client that the provider has deleted', async () => {
    await createProcess().current()
    provider.clients.clear()
    assert.equal((await createProcess().current()).client_id, 'client-1')
    store.kept.clear()
    assert.equal((await createProcess().current()).client_id, 'client-1')
    assert.deepEqual(provider.asked, ['POST /register', 'POST /register'])
  })

  it('reads the store again after reload()', async () => {
    const app = createProcess()
    const client = await app.current()
    store.kept.set(provider.origin, { ...client, client_secret: 'by-the-operator' })
    assert.equal((await app.current()).client_secret, client.client_secret)
    app.reload()
    assert.equal((await app.current()).client_secret, 'by-the-operator')
    store.kept.clear()
    app.reload()
    assert.equal((await app.current()).client_id, 'client-2')
  })

  it('renews a secret in the last tenth of its lifetime', async () => {
    provider.secretLife = 1000
    provider.renewsSecrets = true
    const app = createProcess()
    const first = await app.current()
    advance(899)
    assert.equal(await app.current(), first)
    advance(1)
    const clients = await Promise.all([app.current(), app.current()])
    assert.equal(clients[0], clients[1])
    assert.equal(clients[0].client_id, 'client-1')
    assert.notEqual(clients[0].client_secret, first.client_secret)
    assert.deepEqual(provider.asked, ['POST /register', 'PUT /register/client-1'])
    assert.deepEqual(store.kept.get(provider.origin), clients[0])
    // The new secret has a whole life of its own.
    advance(899)
    await app.current()
    assert.equal(provider.calls.length, 2)
  })

  it('renews a secret at most one day before it expires', async () => {
    provider.secretLife = 100 * DAY
    provider.renewsSecrets = true
    const app = createProcess()
    await app.current()
    advance(99 * DAY - 1)
    await app.current()
    assert.equal(provider.calls.length, 1)
    advance(1)
    await app.current()
    assert.equal(provider.calls.length, 2)
  })

  it('uses the secret that another process has renewed', async () => {
    provider.secretLife = 1000
    provider.renewsSecrets = true
    const [one, two] = [createProcess(), createProcess()]
    await one.current()
    await two.current()
    advance(950)
    const renewed = await one.current()
    assert.deepEqual(await two.current(), renewed)
    assert.equal(provider.asked.filter((call) => call.startsWith('PUT')).length, 1)
  })

  it('registers a new client if an update brings no new secret', async () => {
    provider.secretLife = 1000
    const app = createProcess()
    await app.current()
    advance(950)
    const client = await app.current()
    assert.equal(client.client_id, 'client-2')
    assert.deepEqual(provider.asked, ['POST /register', 'PUT /register/client-1', 'POST /register'])
    assert.deepEqual(store.kept.get(provider.origin), client)
  })

  it('keeps the client if an update extends the lifetime of its secret', async () => {
    provider.secretLife = 1000
    const app = createProcess()
    const first = await app.current()
    advance(950)
    provider.answer = () => {
      const entry = provider.clients.get('client-1') ?? assert.fail()
      entry.secretExpiresAt = Date.now() / 1000 + 1000
      return false
    }
    const second = await app.current()
    assert.equal(second.client_secret, first.client_secret)
    advance(800)
    assert.equal(await app.current(), second)
  })

  it('saves the token of the update even if the registration after it fails', async () => {
    provider.secretLife = 1000
    const app = createProcess()
    await app.current()
    advance(950)
    provider.answer = ({ method }, res) => {
      if (method === 'POST') res.writeHead(500).end()
      return method === 'POST'
    }
    const client = await app.current()
    assert.equal(client.registration_access_token, provider.clients.get('client-1')?.token)
    assert.deepEqual(store.kept.get(provider.origin), client)
  })

  it('uses the old secret until it expires if it cannot be renewed, and retries every 30 seconds', async () => {
    await startOkta()
    provider.secretLife = 1000
    const app = createProcess(OKTA)
    const first = await app.current()
    advance(950)
    provider.answer = (_, res) => {
      res.writeHead(500).end()
      return true
    }
    assert.deepEqual(await app.current(), first)
    advance(29)
    assert.deepEqual(await app.current(), first)
    assert.equal(provider.calls.length, 2)
    advance(1)
    assert.deepEqual(await app.current(), first)
    assert.equal(provider.calls.length, 3)
    store.fails = 'read'
    advance(19)
    assert.deepEqual(await app.current(), first)
    advance(1)
    await refuses(app.current(), 'ERR_OIDC_PROVIDER_STATUS')
    provider.answer = undefined
    advance(30)
    const renewed = await app.current()
    assert.equal(renewed.client_id, first.client_id)
    assert.notEqual(renewed.client_secret, first.client_secret)
  })

  it('does not use the old secret if the new one could not be saved', async () => {
    await startOkta()
    provider.secretLife = 1000
    const app = createProcess(OKTA)
    await app.current()
    advance(950)
    store.fails = 'write'
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_STORE')
    store.fails = ''
    assert.equal((await app.current()).client_secret, provider.clients.get('client-1')?.secret)
    assert.equal(provider.calls.length, 2)
  })

  it('does not retry at once if a new secret has already expired', async () => {
    provider.renewsSecrets = true
    provider.secretLife = 1000
    const app = createProcess()
    await app.current()
    advance(1000)
    provider.secretLife = -10
    await app.current()
    await app.current()
    assert.equal(provider.calls.length, 2)
  })

  it('registers a new client if the old one is refused and its secret has expired', async () => {
    provider.secretLife = 1000
    const app = createProcess()
    await app.current()
    provider.clients.clear()
    provider.clients.set('occupied', { metadata: {}, secret: undefined, secretExpiresAt: 0, token: undefined })
    advance(950)
    assert.equal((await app.current()).client_id, 'client-1')
    advance(50)
    assert.equal((await app.current()).client_id, 'client-2')
  })

  it('registers no new client at Okta, to which no user would be assigned', async () => {
    await startOkta()
    provider.secretLife = 1000
    const app = createProcess(OKTA)
    await app.current()
    provider.clients.clear()
    advance(1000)
    await refuses(app.current(), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
    assert.equal(provider.clients.size, 0)
  })

  it('registers a new client if the provider cannot renew secrets', async () => {
    provider.secretLife = 1000
    provider.tell = ({ registration_client_uri: _, registration_access_token: __, ...members }) => members
    provider.answer = ({ path }, res) => {
      if (path.endsWith('newSecret')) res.writeHead(404).end()
      return path.endsWith('newSecret')
    }
    const app = createProcess()
    await app.current()
    advance(950)
    assert.equal((await app.current()).client_id, 'client-2')
  })

  it('does not renew a client without a secret', async () => {
    provider.tell = ({ client_secret: _, ...members }) => ({ ...members, client_secret_expires_at: 1 })
    const app = createProcess({ metadata: { token_endpoint_auth_method: 'none' } })
    await app.current()
    advance(DAY)
    await app.current()
    assert.equal(provider.calls.length, 1)
  })
})

describe('the metadata of an application', () => {
  const issuer = 'https://op.example.com'
  const store = createStore()

  function metadataOf(more: Partial<Options> = {}, own: ClientChanges = {}): ClientMetadata {
    return clientMetadataOf(configOf(issuer, { store }, more), own)
  }

  it('has the response type and its grant types', () => {
    const { response_types: types, grant_types: grants } = metadataOf({
      responseType: 'code id_token token',
      scope: 'openid offline_access',
    })
    assert.deepEqual(types, ['code id_token token'])
    assert.deepEqual(grants, ['authorization_code', 'implicit', 'refresh_token'])
    assert.deepEqual(metadataOf({ responseType: 'id_token' }).grant_types, ['implicit'])
    assert.deepEqual(metadataOf({}, { response_types: ['code', 'id_token'] }).grant_types, [
      'authorization_code',
      'implicit',
    ])
  })

  it('contains algorithms and encryption that differ from the defaults', () => {
    const metadata = metadataOf({
      idTokenSignedResponseAlg: 'ES256',
      userinfoSignedResponseAlg: 'RS256',
      idTokenEncryptedResponseAlg: 'A256KW',
      responseMode: 'jwt',
      authorizationSignedResponseAlg: 'PS256',
    })
    assert.equal(metadata.id_token_signed_response_alg, 'ES256')
    assert.equal(metadata.userinfo_signed_response_alg, 'RS256')
    assert.equal(metadata.authorization_signed_response_alg, 'PS256')
    assert.equal(metadata.id_token_encrypted_response_alg, 'A256KW')
    assert.equal(metadata.id_token_encrypted_response_enc, 'A128CBC-HS256')
    assert.equal(metadata.userinfo_encrypted_response_enc, undefined)
  })

  it('is overridden by the application, and null removes a member', () => {
    const metadata = metadataOf({}, { client_name: 'Portal', post_logout_redirect_uris: null })
    assert.equal(metadata.client_name, 'Portal')
    assert.equal('post_logout_redirect_uris' in metadata, false)
  })

  it('contains the URLs of the routes for others', () => {
    const metadata = metadataOf({
      baseUrl: 'https://app.example.com/portal',
      routes: { initiateLogin: '/start', requestObjects: '/objects' },
      requestObjectSigningAlg: 'none',
      requestObjectBy: 'reference',
    })
    assert.equal(metadata.initiate_login_uri, 'https://app.example.com/portal/start')
    assert.deepEqual(metadata.request_uris, ['https://app.example.com/portal/objects'])
    assert.equal(metadata.request_object_signing_alg, 'none')
  })
})

describe('the keys and the certificate in the metadata', () => {
  const issuer = 'https://op.example.com'
  const store = createStore()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...privateKey.export({ format: 'jwk' }), kty: 'EC', use: 'sig' } as const

  function metadataOf(more: Partial<Options>, own: ClientChanges = {}): ClientMetadata {
    const method = { clientKeys: [jwk], tokenEndpointAuthMethod: 'private_key_jwt' } as const
    return clientMetadataOf(configOf(issuer, { store }, { ...method, ...more }), own)
  }

  it('are at a URL, so that they can change', () => {
    const { jwks, jwks_uri: uri, token_endpoint_auth_method: method } = metadataOf({ routes: { jwks: '/keys' } })
    assert.deepEqual([jwks, uri, method], [undefined, 'https://app.example.com/keys', 'private_key_jwt'])
  })

  it('are sent by value if the provider cannot fetch them, without their private part', () => {
    const { jwks, jwks_uri: uri } = metadataOf({ baseUrl: 'http://localhost:3000' })
    assert.equal(uri, undefined)
    assert.equal(jwks?.keys[0]?.['x'], jwk.x)
    assert.doesNotMatch(JSON.stringify(jwks), /"d"/)
  })

  it('are those of the application, if it has its own', () => {
    assert.equal(metadataOf({}, { jwks: { keys: [] } }).jwks_uri, undefined)
    assert.deepEqual(metadataOf({}, { jwks_uri: 'https://keys.example.com/' }).jwks_uri, 'https://keys.example.com/')
  })

  it('come with what is bound to them', () => {
    const bound = metadataOf({ dpopBoundAccessTokens: true, requirePushedAuthorizationRequests: true })
    assert.equal(bound.dpop_bound_access_tokens, true)
    assert.equal(bound.require_pushed_authorization_requests, true)
    assert.equal(bound.tls_client_certificate_bound_access_tokens, undefined)
    const { tls_client_certificate_bound_access_tokens: byTls } = metadataOf({
      tlsClientCertificate: LOOPBACK_CERTIFICATE,
    })
    assert.equal(byTls, true)
  })
})

describe('registration at oidc-provider', () => {
  it('works from the first to the last request', async () => {
    const features = {
      registration: { enabled: true, initialAccessToken: TOKEN },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    }
    const provider = stopLater(await startProvider({ features }))
    const options = { issuer: provider.issuer, dangerouslyAllowInsecureRequests: true }
    const closed = await findRegistrationEndpoint(options)
    await refuses(registerClient(closed, METADATA), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')

    const endpoint = await findRegistrationEndpoint({ ...options, initialAccessToken: TOKEN })
    const store = createStore()
    const config = configOf(provider.issuer, { store }, {})
    const client = await registerClient(endpoint, clientMetadataOf(config, { contacts: ['a@example.com'] }))
    assert.deepEqual(client.redirect_uris, [config.redirectUri])
    const read = await readClient(endpoint, client)
    assert.equal(read.client_secret, client.client_secret)
    const changed = await updateClient(endpoint, read, {
      client_name: 'Other',
      contacts: null,
    })
    assert.equal(changed.client_name, 'Other')
    assert.equal(changed.contacts, undefined)
    const { client: same, isNew } = await rotateClientSecret(endpoint, changed)
    assert.equal(isNew, false)
    await deleteClient(endpoint, same)
    await refuses(readClient(endpoint, same), 'ERR_OIDC_REGISTRATION_UNAUTHORIZED')
    const refused = registerClient(endpoint, { ...METADATA, subject_type: 'odd' })
    await refuses(refused, 'ERR_OIDC_REGISTRATION_REFUSED')
  })
})

describe('an app that registers itself', () => {
  it('logs users in, each time with the same client', async () => {
    const features = { registration: { enabled: true, issueRegistrationAccessToken: false } }
    const provider = stopLater(await startProvider({ features }))
    const store = createStore()
    // The registration sets them, not the stage.
    const withoutClient = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
    const options = { ...withoutClient, issuer: provider.issuer, secret: 's'.repeat(32), registration: { store } }
    const app = stopLater(await startApp({ options }))
    const page = await app.browser().open(`${app.baseUrl}/profile`)
    assert.equal(page.status, 200, inspect([app.errors, app.otherErrors]))
    const again = await app.browser().open(`${app.baseUrl}/profile`)
    assert.equal(again.status, 200, inspect([app.errors, app.otherErrors]))
    assert.equal(provider.count('/reg'), 1)
    assert.equal(store.kept.get(provider.issuer)?.redirect_uris?.[0], `${app.baseUrl}/callback`)
  })
})
