import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ProviderError } from '../../lib/index.ts'
import {
  type ClientInformation,
  type ClientStore,
  deleteClient,
  findRegistrationEndpoint,
  listClients,
  type RegisteredClient,
  type RegistrationEndpoint,
  readClient,
  registerClient,
  rotateClientSecret,
  toOktaApp,
  updateClient,
} from '../../lib/registration.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { API_TOKEN } from '../support/okta-provider/clients.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

const METADATA = {
  client_name: 'The portal',
  redirect_uris: ['https://app.example.test/callback', 'https://app.example.test/other'],
  response_types: ['code'],
  grant_types: ['authorization_code'],
}

function endpoint(initialAccessTokenScheme: 'SSWS' | 'Bearer' = 'SSWS'): Promise<RegistrationEndpoint> {
  return findRegistrationEndpoint({
    issuer: stage.okta.issuer('default'),
    initialAccessToken: API_TOKEN,
    initialAccessTokenScheme,
    dangerouslyAllowInsecureRequests: true,
  })
}

async function refusalOf(attempt: Promise<unknown>): Promise<ProviderError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason) => reason,
  )
  assert.ok(error instanceof ProviderError, String(error))
  return error
}

function createMemory(): ClientStore {
  const clients = new Map<string, RegisteredClient>()
  return {
    read: async (key) => clients.get(key),
    write: async (key, client) => void clients.set(key, client),
    remove: async (key) => void clients.delete(key),
  }
}

describe('a registration at Okta', () => {
  it('Q-58: is made with an API token in the scheme SSWS, at the org path for every server', async () => {
    const client = await registerClient(await endpoint(), METADATA)
    assert.match(client.client_id, /^0oa/)
    const [request] = stage.okta.requestsTo('clients')
    assert.deepEqual(
      [request?.url.pathname, request?.headers.authorization],
      ['/oauth2/v1/clients', `SSWS ${API_TOKEN}`],
    )
  })

  it('Q-58: is refused in the scheme Bearer, in Okta’s own form', async () => {
    const error = await refusalOf(registerClient(await endpoint('Bearer'), METADATA))
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_REGISTRATION_UNAUTHORIZED', 'E0000011'])
    assert.deepEqual([typeof error.errorId, typeof error.requestId], ['string', 'string'])
  })

  it('Q-58: needs a name', async () => {
    const { client_name: _, ...nameless } = METADATA
    const error = await refusalOf(registerClient(await endpoint(), nameless))
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_REGISTRATION_REFUSED', 'invalid_client_metadata'])
  })

  it('Q-58: is read and changed with the same token, since there is none of the client’s own', async () => {
    const at = await endpoint()
    const client = await registerClient(at, METADATA)
    assert.deepEqual([client.registration_access_token, client.registration_client_uri], [undefined, undefined])
    const read = await readClient(at, client)
    assert.equal(read.client_secret, client.client_secret)
    assert.equal(stage.okta.requestsTo('clients').at(-1)?.url.pathname, `/oauth2/v1/clients/${client.client_id}`)
  })

  it('Q-58: is answered with nulls, which are no members, and with lists in another order', async () => {
    const client = await registerClient(await endpoint(), METADATA)
    assert.ok(!Object.values(client).includes(null))
    assert.deepEqual(client.redirect_uris, [...METADATA.redirect_uris].reverse())
  })

  it('Q-58: is replaced as a whole by an update, which sends all that there is', async () => {
    const at = await endpoint()
    const client = await registerClient(at, {
      ...METADATA,
      client_uri: 'https://app.example.test',
      consent_note: 'x',
    })
    const changed = await updateClient(at, client, { client_name: 'Another', consent_note: null })
    const kept = stage.okta.clients.get(client.client_id)
    assert.deepEqual([kept?.['client_name'], kept?.['client_uri']], ['Another', 'https://app.example.test'])
    assert.equal(kept?.['consent_note'], undefined)
    assert.equal(changed.client_secret, client.client_secret)
  })

  it('Q-58: is unknown with 401 and invalid_client once it is deleted', async () => {
    const at = await endpoint()
    const client = await registerClient(at, METADATA)
    await deleteClient(at, client)
    const error = await refusalOf(readClient(at, client))
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_REGISTRATION_UNAUTHORIZED', 'invalid_client'])
  })

  it('Q-58: gets a new secret, by a request without a body', async () => {
    const at = await endpoint()
    const client = await registerClient(at, METADATA)
    const { client: rotated, isNew } = await rotateClientSecret(at, client)
    assert.equal(isNew, true)
    assert.equal(rotated.client_secret, stage.okta.clients.get(client.client_id)?.client_secret)
    assert.notEqual(rotated.client_secret, client.client_secret)
  })

  it('Q-58: gets none for a public client: 404, in Okta’s own form', async () => {
    const at = await endpoint()
    const client = await registerClient(at, { ...METADATA, token_endpoint_auth_method: 'none' })
    const error = await refusalOf(rotateClientSecret(at, client))
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_REGISTRATION_SECRET', 'E0000007'])
    assert.match(String(error.refusal?.errorDescription), /PublicClientApp/)
  })

  it('Q-59: is one of a list in pages, which the header Link leads through', async () => {
    const at = await endpoint()
    for (let index = 0; index < 7; index++) await registerClient(at, { ...METADATA, client_name: `Portal ${index}` })
    await registerClient(at, { ...METADATA, client_name: 'Another' })
    const found: ClientInformation[] = []
    stage.okta.requests.length = 0
    for await (const client of listClients(at, { query: 'Portal', limit: 3 })) found.push(client)
    assert.deepEqual(
      found.map(({ client_name: name }) => name),
      Array.from({ length: 7 }, (_, index) => `Portal ${index}`),
    )
    assert.equal(stage.okta.requestsTo('clients').length, 3)
  })
})

describe('consent', () => {
  it('Q-60: is asked for an application that was registered, unlike for one that the Apps API made', async () => {
    const registration = {
      store: createMemory(),
      initialAccessToken: API_TOKEN,
      initialAccessTokenScheme: 'SSWS',
      metadata: { client_name: 'The portal' },
    } as const
    // Whose id and secret are not known yet.
    const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
    const options = { ...unknown, registration, secret: 's'.repeat(32) }
    const silently = answerBy(({ oidc }) => oidc.login({ returnTo: '/', authorizationParams: { prompt: 'none' } }))
    const app = await stage.start('org', options, { routes: { '/silently': silently } })
    const browser = app.browser()
    // Somebody who is logged in at Okta for another application, that was made in the admin console.
    const other = await stage.start('org')
    await browser.open(`${other.origin}/profile`)
    stage.okta.signIn = 'waits'
    stage.okta.change.authorizationAnswer = (answer) => {
      answers.push(answer.get('error'))
      return answer
    }
    const answers: (string | null)[] = []
    assert.equal((await browser.open('/silently')).json()['authenticated'], false, String(app.errors))
    assert.ok(isAtProvider(new URL((await browser.open('/profile')).url)))
    stage.okta.signIn = 'signs in'
    assert.equal((await browser.open('/profile')).status, 200, String(app.errors))
    // Once is enough.
    stage.okta.signIn = 'waits'
    assert.equal((await browser.open('/silently')).json()['authenticated'], true)
    assert.deepEqual([answers, app.errors], [['consent_required', null, null], []])
  })

  it('Q-60: is the same by both ways where toOktaApp() makes the application', () => {
    const app = toOktaApp(METADATA) as { settings: { oauthClient: Record<string, unknown> } }
    assert.equal(app.settings.oauthClient['consent_method'], 'REQUIRED')
  })
})
