import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import type { RegistrationOptions } from '../../lib/options/registration-options.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createConfigFor } from '../../lib/registration/registered-config.ts'
import {
  adviseOnClient,
  type ClientInformation,
  type ClientMetadata,
  deleteClient,
  fileClientStore,
  fromOktaApp,
  listClients,
  readClient,
  registerClient,
  rotateClientSecret,
  toOktaApp,
  updateClient,
} from '../../lib/registration.ts'
import { anyText, damaged, foreignJson, nearly, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'
import { ISSUER, type ScriptedResponse, scriptedConfig } from '../support/properties/scripted-provider.ts'

const CODES = /^ERR_OIDC_(CONFIG|REGISTRATION_|PROVIDER_|METADATA_INVALID)/
const REDIRECT_URI = 'https://app.example.com/callback'

let respond: (url: string) => ScriptedResponse = () => ({ body: '' })
let urls: string[] = []
const config = scriptedConfig((url) => {
  urls.push(url)
  return respond(url)
})
const http = createHttpClient(config)
const endpoint = {
  ...{ http, url: `${ISSUER}/register`, issuer: ISSUER },
  ...{ initialAccessToken: 'token', initialAccessTokenScheme: undefined },
}

const GOOD = {
  client_id: 'client',
  client_secret: 'secret',
  client_id_issued_at: 1,
  client_secret_expires_at: 0,
  registration_access_token: 'registration-token',
  registration_client_uri: `${ISSUER}/register/client`,
  redirect_uris: [REDIRECT_URI],
  token_endpoint_auth_method: 'client_secret_basic',
  id_token_signed_response_alg: 'HS256',
  grant_types: ['authorization_code'],
  response_types: ['code'],
}
const anyAddress = textOf('https:', '//', 'op.example.com', 'evil.example', '/', '@', '#', '?', '\\', '..', '%2e')
const anyClient = fc.oneof(
  { weight: 6, arbitrary: nearly(GOOD) },
  { weight: 1, arbitrary: anyAddress.map((registration_client_uri) => ({ ...GOOD, registration_client_uri })) },
  { weight: 1, arbitrary: foreignJson },
)
const anyStatus = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(200, 201) },
  { weight: 1, arbitrary: fc.constantFrom(302, 400, 401, 403, 404, 405, 429, 500, 503) },
)
const anyBody = fc.oneof(
  { weight: 5, arbitrary: anyClient.map((json) => JSON.stringify(json)) },
  { weight: 1, arbitrary: damaged(JSON.stringify(GOOD)) },
)

/** Where a token may go: to the provider, and to nobody else. */
function assertOwnAddresses(): void {
  for (const url of urls) assert.equal(new URL(url).origin, ISSUER)
}

describe('a registration response', () => {
  const OPERATIONS: readonly ((client: ClientInformation) => Promise<unknown>)[] = [
    () => registerClient(endpoint, { redirect_uris: [REDIRECT_URI] }),
    (client) => readClient(endpoint, client),
    (client) => updateClient(endpoint, client, { client_name: 'Portal' }),
    (client) => rotateClientSecret(endpoint, client),
    (client) => deleteClient(endpoint, client),
  ]
  const known: fc.Arbitrary<ClientInformation> = fc.constantFrom(
    { client_id: 'client' },
    { client_id: 'client', registration_client_uri: `${ISSUER}/register/client`, registration_access_token: 'own' },
    { client_id: '..' },
    { client_id: 'a/../b?c#d' },
    { client_id: 'client', registration_client_uri: 'https://evil.example/client' },
  )

  it('is a client, or is refused, and no token goes to another host', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...OPERATIONS), known, anyBody, anyStatus, async (run, client, body, status) => {
        respond = () => ({ body, status })
        urls = []
        const { value } = await outcomeOf(() => run(client), CODES)
        assertOwnAddresses()
        if (value === undefined || value === null) return
        const told = Object(value).client ?? value
        assert.match(told.client_id, /^[ -~]+$/)
        assert.equal(typeof told.registeredAt, 'number')
        assert.match(told.client_secret ?? 'x', /^[ -~]+$/)
        holds([told.redirect_uris ?? []].flat().every((uri: unknown) => typeof uri === 'string'))
      }),
      { numRuns: 150 },
    )
  })

  it('decides how the client is used, or is refused', async () => {
    const registration: RegistrationOptions = {
      store: { read: async () => undefined, write: async () => {}, remove: async () => {} },
    }
    const metadata = { issuer: ISSUER, registration_endpoint: `${ISSUER}/register` } as never
    await fc.assert(
      fc.asyncProperty(anyBody, anyStatus, async (body, status) => {
        respond = () => ({ body, status })
        const configFor = createConfigFor({ ...config, clientId: '', clientSecret: undefined }, registration)
        const { value: registered } = await outcomeOf(() => configFor(metadata, http), CODES)
        if (registered === undefined) return
        assert.match(registered.clientId, /^[ -~]+$/)
        assert.equal(registered.idTokenSignedResponseAlg, 'HS256')
        assert.equal(typeof registered.tokenEndpointAuthMethod, 'string')
      }),
      { numRuns: 150 },
    )
  })

  it('may be a list whose pages lead on, but never in a circle or to another host', async () => {
    const piece = [
      '<https://op.example.com/register?after=1>',
      '<https://evil.example/>',
      '; rel="next"',
      '; rel=next',
      ', ',
    ]
    const link = textOf(...piece, '<', '>', ';', '"', '</register?after=2>', ' ', '; rel="self next"').map(headerValue)
    await fc.assert(
      fc.asyncProperty(
        fc.array(link, { minLength: 1, maxLength: 4 }),
        fc.array(anyClient, { maxLength: 2 }),
        async (links, clients) => {
          let page = 0
          respond = () => ({ body: JSON.stringify(clients), headers: { link: links[page++ % links.length] ?? '' } })
          urls = []
          await outcomeOf(async () => {
            for await (const client of listClients(endpoint)) assert.match(client.client_id, /^[ -~]+$/)
          }, CODES)
          assertOwnAddresses()
          assert.equal(new Set(urls).size, urls.length)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('has links that are read in a bounded time', async () => {
    const pieces = ['<', '>', ';', ' ', 'rel', '=', '"', 'a', ',', '<a>;a=b', '; a = "', '\t']
    await fc.assert(
      fc.asyncProperty(repeated(64_000, ...pieces), async (link) => {
        respond = () => ({ body: '[]', headers: { link: headerValue(link) } })
        await outcomeOf(async () => {
          for await (const _ of listClients(endpoint)) break
          urls = []
        }, CODES)
      }),
      { numRuns: 20 },
    )
  })
})

function headerValue(text: string): string {
  return text.replace(/[^\t -~]/g, '').trim()
}

describe('the metadata of a client', () => {
  it('becomes an app of Okta and is read back from it', () => {
    const member = fc.constantFrom(
      'redirect_uris',
      'grant_types',
      'client_name',
      'client_id',
      'token_endpoint_auth_method',
    )
    fc.assert(
      fc.property(fc.dictionary(member, fc.array(fc.string())), (metadata) => {
        const { client_name: _, consent_method: __, ...read } = fromOktaApp(toOktaApp(metadata as ClientMetadata))
        const { client_name: ___, ...sent } = metadata
        assert.deepEqual(read, { ...sent })
      }),
    )
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('label', 'settings', 'credentials', '__proto__'), foreignJson),
        (app) => {
          assert.equal(typeof fromOktaApp(app), 'object')
        },
      ),
    )
  })

  it('gets advice for any words in it', () => {
    const words = fc.array(
      fc.oneof(fc.constantFrom('code', 'token', 'id_token', 'implicit', 'authorization_code'), anyText),
    )
    const metadata = fc.record(
      { response_types: words, grant_types: words, application_type: anyText, token_endpoint_auth_method: anyText },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(metadata, (given) => {
        holds(adviseOnClient(given as ClientMetadata).every((sentence) => sentence.endsWith('.')))
      }),
    )
  })
})

describe('a file of the client store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'express-oidc-properties-'))
  after(() => rm(folder, { recursive: true, force: true }))
  const store = fileClientStore(folder)
  const path = join(folder, `${createHash('sha256').update(ISSUER).digest('hex')}.json`)
  const STORE = /^ERR_OIDC_REGISTRATION_STORE$/

  it('gives the client that was written, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(nearly({ client_id: 'client', registeredAt: 1 }), async (given) => {
        const client = { ...given, client_id: 'client', registeredAt: 1 }
        await store.write(ISSUER, client)
        assert.deepEqual(await store.read(ISSUER), JSON.parse(JSON.stringify(client)))
      }),
      { numRuns: 20 },
    )
  })

  it('that holds anything else is refused, and nothing of it is told', async () => {
    const good = { key: ISSUER, client: { client_id: 'client', registeredAt: 1, client_secret: 'hush-hush' } }
    const content = fc.oneof(
      nearly(good).map((json) => JSON.stringify(json)),
      nearly(good.client).map((client) => JSON.stringify({ key: ISSUER, client })),
      damaged(JSON.stringify(good)),
      anyText,
    )
    await fc.assert(
      fc.asyncProperty(content, async (text) => {
        await writeFile(path, text, { mode: 0o600 })
        const { value, error } = await outcomeOf(() => store.read(ISSUER), STORE)
        if (value !== undefined) return assert.equal(typeof value.client_id, 'string')
        holds(error && !error.message.includes('hush-hush'))
      }),
      { numRuns: 100 },
    )
  })
})
