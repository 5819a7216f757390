import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { type ExitCode, runCommand } from '../../lib/command/command.ts'
import { createStage, share } from '../support/app/stage.ts'
import { startTransmitter, type Transmitter } from '../support/servers/transmitter.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

const HEADER = 'Bearer the-value-of-the-push-header'
const ENDPOINT = 'https://app.example/security-events'

interface Outcome {
  readonly code: ExitCode
  readonly printed: string
  readonly warned: string
}

const stage = createStage({ app: { errorHandler: 'json' } })
// As Okta's, and as SSF 1.0 has it.
const okta = share(() => startTransmitter())
const ssf = share(() => startTransmitter({ statusEndpoint: 'announced' }))
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'express-oidc-streams-'))
})
beforeEach(() => {
  okta().reset()
  ssf().reset()
})
after(() => rm(folder, { recursive: true, force: true }))

/** Runs `streams` at this transmitter. No secret may be in its output. */
async function run(transmitter: Transmitter, action: string, ...more: readonly string[]): Promise<Outcome> {
  return await runWith({ EXPRESS_OIDC_TOKEN: transmitter.token }, transmitter, action, ...more)
}

async function runWith(
  env: Readonly<Record<string, string>>,
  transmitter: Transmitter,
  action: string,
  ...more: readonly string[]
): Promise<Outcome> {
  let printed = ''
  let warned = ''
  const code = await runCommand(['streams', action, '--issuer', transmitter.issuer, '--insecure', ...more], {
    env: { EXPRESS_OIDC_PUSH_AUTHORIZATION: HEADER, ...env },
    print: (text) => {
      printed += text
    },
    warn: (text) => {
      warned += text
    },
  })
  for (const secret of [transmitter.token, HEADER]) assert.ok(!(printed + warned).includes(secret), printed + warned)
  return { code, printed, warned }
}

async function create(transmitter: Transmitter, ...more: readonly string[]): Promise<Outcome> {
  return await run(transmitter, 'create', '--endpoint', ENDPOINT, ...more)
}

describe('express-oidc streams', () => {
  it('creates, verifies, pauses, resumes and deletes a stream, and an application takes its events', async () => {
    const { issuer, audience } = ssf()
    const app = await stage.start({ sharedSignals: { issuer, audience, authorizationHeader: HEADER } })
    const endpoint = `${app.baseUrl}/security-events`
    const created = await run(ssf(), 'create', '--endpoint', endpoint, '--audience', audience, '--json')
    assert.equal(created.code, 0, created.warned)
    const { stream_id: id, iss, aud, endpoint_url: url } = JSON.parse(created.printed)
    assert.deepEqual([iss, aud, url, typeof id], [issuer, audience, endpoint, 'string'])
    assert.deepEqual(Object(ssf().stream?.['delivery']), {
      method: 'urn:ietf:rfc:8935',
      endpoint_url: endpoint,
      authorization_header: HEADER,
    })
    assert.equal((await run(ssf(), 'verify')).code, 0)
    while (ssf().verified.length === 0) await new Promise(setImmediate)
    assert.deepEqual(
      ssf().verified.map(({ status }) => status),
      [202],
    )
    for (const [action, status] of [
      ['pause', 'paused'],
      ['resume', 'enabled'],
    ] as const) {
      assert.equal((await run(ssf(), action)).code, 0)
      assert.equal(ssf().status, status)
      assert.match((await run(ssf(), 'status')).printed, new RegExp(`status +${status}`))
    }
    assert.equal((await run(ssf(), 'delete')).code, 0)
    assert.equal(ssf().stream, undefined)
  })

  it('does so at Okta, where a stream has a status but cannot be paused', async () => {
    const created = await create(okta())
    assert.deepEqual([created.code, okta().stream?.['format']], [0, 'iss_sub'])
    assert.match(created.printed, /aud +https:\/\/app\.example\/security-events/)
    assert.match((await run(okta(), 'status')).printed, /status +enabled/)
    const paused = await run(okta(), 'pause')
    assert.deepEqual([paused.code, paused.warned.split(':')[0]], [1, 'ERR_OIDC_STREAM_UNSUPPORTED'])
    assert.equal((await run(okta(), 'delete')).code, 0)
  })

  it('sends the token in a header alone, and only to the stream API', async () => {
    await create(okta())
    const { requests } = okta()
    assert.deepEqual(
      requests.map(({ authorization }) => authorization),
      [`Bearer ${okta().token}`],
    )
    assert.ok(!JSON.stringify(requests.map(({ body, path }) => [body, path])).includes(okta().token))
  })

  it('reads the token and the header from files', async () => {
    const [token, header] = [join(folder, 'token'), join(folder, 'header')]
    await Promise.all([writeFile(token, `${okta().token}\n`), writeFile(header, `${HEADER}x\n`)])
    const files = ['--token-file', token, '--authorization-file', header]
    assert.equal((await runWith({}, okta(), 'create', '--endpoint', ENDPOINT, ...files)).code, 0)
    assert.equal(Object(okta().stream?.['delivery']).authorization_header, `${HEADER}x`)
  })

  it('requests the events that are named', async () => {
    await create(okta(), '--event', 'urn:one', '--event', 'urn:two')
    assert.deepEqual(okta().stream?.['events_requested'], ['urn:one', 'urn:two'])
  })

  it('says that a stream exists (409), and replaces it only with --replace', async () => {
    await create(okta())
    const id = okta().stream?.['stream_id']
    const again = await run(okta(), 'create', '--endpoint', 'https://other.example/events')
    assert.equal(again.code, 1)
    assert.match(again.warned, new RegExp(`^ERR_OIDC_STREAM_REFUSED: .*409.*${id}.*--replace`))
    assert.equal(Object(okta().stream?.['delivery']).endpoint_url, ENDPOINT)
    const replaced = await run(okta(), 'create', '--endpoint', 'https://other.example/events', '--replace')
    assert.deepEqual([replaced.code, okta().stream?.['stream_id']], [0, id])
    assert.equal(Object(okta().stream?.['delivery']).endpoint_url, 'https://other.example/events')
  })

  it('says how long to wait after too many requests (429)', async () => {
    await create(okta())
    okta().change.answer = (req, res) => {
      if (!req.url?.endsWith('/verification')) return false
      res.writeHead(429, { 'retry-after': '60', 'content-type': 'application/json' })
      res.end(JSON.stringify({ errorCode: 'E0000047', errorSummary: 'API call exceeded rate limit' }))
      return true
    }
    const { code, warned } = await run(okta(), 'verify')
    assert.equal(code, 1)
    assert.match(warned, /^ERR_OIDC_PROVIDER_BUSY: .*429[\s\S]*min_verification_interval/)
    assert.deepEqual(okta().verified, [])
  })

  type Edit = (good: JsonObject) => JsonObject
  type Change = (transmitter: Transmitter) => void
  const inStream =
    (edit: Edit): Change =>
    ({ change }) => {
      change.stream = edit
    }
  const inDocument =
    (edit: Edit): Change =>
    ({ change }) => {
      change.configuration = edit
    }
  const without =
    (name: string): Edit =>
    (good) =>
      Object.fromEntries(Object.entries(good).filter(([one]) => one !== name))

  // [what is wrong, the change, the action, the code]
  const WRONG: readonly (readonly [string, Change, string, string])[] = [
    ...['create', 'status', 'verify'].flatMap((action): readonly (readonly [string, Change, string, string])[] => [
      [
        `the iss of the stream at ${action}`,
        inStream((good) => ({ ...good, iss: 'https://evil.example' })),
        action,
        'ERR_OIDC_STREAM_RESPONSE',
      ],
      [`no aud of the stream at ${action}`, inStream(without('aud')), action, 'ERR_OIDC_STREAM_RESPONSE'],
      [
        `another aud than --audience at ${action}`,
        inStream((good) => ({ ...good, aud: ['https://other.example'] })),
        action,
        'ERR_OIDC_STREAM_RESPONSE',
      ],
    ]),
    ['no stream_id', inStream(without('stream_id')), 'create', 'ERR_OIDC_STREAM_RESPONSE'],
    [
      'the issuer of the document',
      inDocument((good) => ({ ...good, issuer: 'https://evil.example' })),
      'status',
      'ERR_OIDC_TRANSMITTER_METADATA',
    ],
    [
      'no configuration_endpoint',
      inDocument(without('configuration_endpoint')),
      'status',
      'ERR_OIDC_STREAM_UNSUPPORTED',
    ],
    ['no verification_endpoint', inDocument(without('verification_endpoint')), 'verify', 'ERR_OIDC_STREAM_UNSUPPORTED'],
    [
      'an endpoint that is no URL',
      inDocument((good) => ({ ...good, configuration_endpoint: '/stream' })),
      'status',
      'ERR_OIDC_STREAM_UNSUPPORTED',
    ],
    [
      'an endpoint of a file',
      inDocument((good) => ({ ...good, configuration_endpoint: 'file:///etc/passwd' })),
      'status',
      'ERR_OIDC_METADATA_INVALID',
    ],
  ]

  for (const [name, change, action, code] of WRONG) {
    it(`stops with ${code}: ${name}`, async () => {
      if (action !== 'create') await create(okta())
      change(okta())
      const { code: exit, warned } = await run(okta(), action, '--audience', okta().audience, '--endpoint', ENDPOINT)
      assert.equal(exit, 1)
      assert.equal(warned.split(':')[0], code, warned)
      assert.equal(
        okta().requests.some(({ path }) => path.endsWith('/verification')),
        false,
      )
    })
  }

  it('stops if the transmitter does not take the status, and says which one the stream has', async () => {
    await create(ssf())
    ssf().change.answer = (req, res) => {
      if (!req.url?.endsWith('/status') || req.method !== 'POST') return false
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify({ stream_id: ssf().stream?.['stream_id'], status: 'disabled' }))
      return true
    }
    const { code, warned } = await run(ssf(), 'pause')
    assert.equal(code, 1)
    assert.match(warned, /^ERR_OIDC_STREAM_RESPONSE: .*"disabled".*"paused"/)
  })

  it('is a wrong call without an endpoint, and with a configuration URL that is not https', async () => {
    assert.equal((await run(okta(), 'create')).code, 2)
    assert.equal((await run(okta(), 'status', '--configuration-url', 'file:///etc/passwd')).code, 2)
    const url = `${okta().issuer}/.well-known/ssf-configuration`
    await create(okta())
    assert.equal((await run(okta(), 'status', '--configuration-url', url)).code, 0)
  })

  it('creates a stream without a push header, and shows one that has no status', async () => {
    const env = { EXPRESS_OIDC_TOKEN: okta().token, EXPRESS_OIDC_PUSH_AUTHORIZATION: '' }
    assert.equal((await runWith(env, okta(), 'create', '--endpoint', ENDPOINT)).code, 0)
    assert.equal(Object(okta().stream?.['delivery']).authorization_header, undefined)
    okta().change.answer = (req, res) => {
      if (!req.url?.includes('/ssf/stream/status')) return false
      const { stream_id: id } = Object(okta().stream)
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ stream_id: id }))
      return true
    }
    const { code, printed, warned } = await run(okta(), 'status')
    assert.deepEqual([code, /status +enabled/.test(printed), warned], [0, false, ''])
  })

  it('asks which of several streams is meant, and takes --stream-id', async () => {
    await create(okta())
    const [one, other] = [okta().stream, { ...okta().stream, stream_id: 'the other' }]
    const good = { iss: okta().issuer, aud: okta().audience }
    okta().change.answer = (req, res) => {
      if (req.method !== 'GET' || !req.url?.includes('/ssf/stream')) return false
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify([one, other].map((stream) => ({ ...stream, ...good }))))
      return true
    }
    const { code, warned } = await run(okta(), 'delete')
    assert.notEqual(code, 0)
    assert.match(warned, /several streams .*--stream-id/)
    assert.ok(okta().stream)
    const unknown = await run(okta(), 'delete', '--stream-id', 'a third')
    assert.match(unknown.warned, /^ERR_OIDC_STREAM_REFUSED: .*--stream-id/)
    assert.ok(okta().stream)
  })

  it('stops without a token, which the transmitter requires', async () => {
    const { code, warned } = await runWith({}, okta(), 'create', '--endpoint', ENDPOINT)
    assert.deepEqual([code, warned.split(':')[0], okta().stream], [1, 'ERR_OIDC_STREAM_REFUSED', undefined])
  })

  it('verifies nothing without the value of the push header, by which an answer is recognised', async () => {
    await create(okta())
    const env = { EXPRESS_OIDC_TOKEN: okta().token, EXPRESS_OIDC_PUSH_AUTHORIZATION: '' }
    const { code, warned } = await runWith(env, okta(), 'verify')
    assert.notEqual(code, 0)
    assert.match(warned, /--authorization-file/)
    assert.deepEqual(okta().verified, [])
  })

  for (const [name, args, advice] of [
    ['no --issuer', [], /--issuer is missing/],
    ['an --issuer that is no URL', ['--issuer', 'okta'], /--issuer must be/],
    [
      'a --configuration-url that is no URL',
      ['--issuer', 'https://as.example', '--configuration-url', '/ssf'],
      /--configuration-url must be/,
    ],
  ] as const) {
    it(`stops before any request with ${name}`, async () => {
      let warned = ''
      const warn = (text: string): void => {
        warned += text
      }
      const env = { EXPRESS_OIDC_TOKEN: 'a token' }
      const code = await runCommand(['streams', 'status', ...args], { env, print: assert.fail, warn })
      assert.notEqual(code, 0)
      assert.match(warned, advice)
    })
  }

  it('hides a token that the transmitter repeats in its error', async () => {
    const { token } = okta()
    okta().change.answer = (req, res) => {
      if (!req.url?.startsWith('/api')) return false
      res.writeHead(403, { 'content-type': 'application/json' })
      res.end(JSON.stringify({ error: 'insufficient_scope', error_description: `the token ${token} and ${HEADER}` }))
      return true
    }
    const { code, warned } = await create(okta())
    assert.equal(code, 1)
    assert.match(warned, /^ERR_OIDC_STREAM_REFUSED/)
  })

  it('stops with a wrong token', async () => {
    const { code, warned } = await runWith({ EXPRESS_OIDC_TOKEN: 'another-token' }, okta(), 'status')
    assert.deepEqual([code, warned.split(':')[0]], [1, 'ERR_OIDC_STREAM_REFUSED'])
  })

  it('stops if there is no stream', async () => {
    for (const action of ['status', 'verify', 'delete']) {
      const { code, warned } = await run(okta(), action)
      assert.deepEqual([code, warned.split(':')[0]], [1, 'ERR_OIDC_STREAM_REFUSED'])
    }
  })

  for (const [name, args, env] of [
    ['no action', ['streams'], {}],
    ['an unknown action', ['streams', 'list', '--issuer', 'https://id.example'], {}],
    ['no issuer', ['streams', 'status'], {}],
    ['no endpoint', ['streams', 'create', '--issuer', 'ISSUER', '--insecure'], {}],
    ['no header to verify with', ['streams', 'verify', '--issuer', 'ISSUER', '--insecure'], {}],
    ['the token on the command line', ['streams', 'status', '--issuer', 'https://id.example', '--token', 'x'], {}],
    [
      'a file that is not there',
      ['streams', 'status', '--issuer', 'ISSUER', '--authorization-file', '/none/of/it'],
      {},
    ],
  ] as const) {
    it(`is a wrong call: ${name}`, async () => {
      const given = args.map((arg) => (arg === 'ISSUER' ? okta().issuer : arg))
      const code = await runCommand(given, { env, print: () => undefined, warn: () => undefined })
      assert.equal(code, 2)
    })
  }
})
