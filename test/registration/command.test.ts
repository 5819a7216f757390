import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { type ExitCode, runCommand } from '../../lib/command/command.ts'
import { describeError } from '../../lib/command/output.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { fileClientStore } from '../../lib/registration/file-client-store.ts'
import { modulePath, NODE_ARGS, ROOT } from '../support/app/project.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { type RegistrationProvider, startRegistrationProvider } from '../support/servers/registration-provider.ts'
import { startTlsProxy } from '../support/servers/tls.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const MAIN = modulePath('lib/command/main.ts')
const TOKEN = 'a-token-that-nobody-may-see'
const REDIRECT_URI = 'https://app.example.com/callback'

interface Outcome {
  readonly code: ExitCode
  readonly printed: string
  readonly warned: string
}

let folder: string
let store: string
const stopLater = stopAfterEach()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'express-oidc-'))
  store = join(folder, 'clients')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  let printed = ''
  let warned = ''
  const code = await runCommand(args, {
    env,
    print: (text) => {
      printed += text
    },
    warn: (text) => {
      warned += text
    },
  })
  assert.ok(!(printed + warned).includes(TOKEN), printed + warned)
  return { code, printed, warned }
}

async function start(style: 'rfc7592' | 'okta' = 'rfc7592'): Promise<RegistrationProvider> {
  return stopLater(await startRegistrationProvider({ style, ...(style === 'okta' ? { token: TOKEN } : {}) }))
}

/** The call of a command at this provider. */
function at(provider: RegistrationProvider, command: string, ...more: readonly string[]): readonly string[] {
  return [command, '--issuer', provider.origin, '--insecure', ...more]
}

const OKTA_ENV = { EXPRESS_OIDC_TOKEN: TOKEN }

describe('the output of the command as JSON', () => {
  it('N-53: escapes what a terminal could read as a command, and means the same', async () => {
    const provider = await start()
    const name = 'Portal\u001b[2J\u0007\u007f\u009b31m\u202e\u2028\u{e0041} \u00e9\n'
    provider.tell = (members) => ({ ...members, client_name: name, ['x\u009d0;evil\u0007']: [name] })
    const { code, printed, warned } = await run(
      at(provider, 'register', '--store', store, '--json', '--redirect-uri', REDIRECT_URI),
    )
    assert.equal(code, 0, warned)
    assert.doesNotMatch(printed, /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u)
    const client = JSON.parse(printed)
    assert.deepEqual([client.client_name, client['x\u009d0;evil\u0007']], [name, [name]])
    assert.ok(printed.includes('\u00e9'))
  })
})

describe('the command at a provider by RFC 7592', () => {
  it('saves a new client before it prints anything, and does not print its secrets', async () => {
    const provider = await start()
    const flags = ['--name', 'Portal', '--redirect-uri', REDIRECT_URI, '--redirect-uri', `${REDIRECT_URI}2`]
    const { code, printed, warned } = await run(at(provider, 'register', '--store', store, ...flags))
    assert.equal(code, 0, warned)
    assert.equal(warned, `Registered and saved in ${store}.\n`)
    assert.match(printed, /^client_id +client-1$/m)
    assert.match(printed, /^client_secret +\*{8} \(--show-secret\)$/m)
    assert.match(printed, /^registration_access_token +\*{8} \(--show-secret\)$/m)
    assert.match(
      printed,
      /^redirect_uris +https:\/\/app.example.com\/callback\n +https:\/\/app.example.com\/callback2$/m,
    )
    const { secret, token, metadata } = provider.clients.get('client-1') ?? assert.fail()
    assert.ok(!printed.includes(String(secret)) && !printed.includes(String(token)))
    assert.deepEqual(metadata, { client_name: 'Portal', redirect_uris: [REDIRECT_URI, `${REDIRECT_URI}2`] })
    const kept = await fileClientStore(store).read(provider.origin)
    assert.equal(kept?.client_secret, secret)
    assert.equal((await readdir(store)).length, 1)
  })

  it('shows, updates and deletes the client in the store', async () => {
    const provider = await start()
    await run(at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI))
    const shown = await run(at(provider, 'show', '--store', store, '--json'))
    assert.equal(shown.code, 0, shown.warned)
    const { client_id: id, client_secret: secret, registeredAt, ...members } = JSON.parse(shown.printed)
    assert.deepEqual([id, secret, registeredAt], ['client-1', undefined, undefined])
    assert.equal(members.registration_access_token, undefined)

    const file = join(folder, 'changes.json')
    await writeFile(file, JSON.stringify({ client_name: 'From a file', contacts: ['a@example.com'], x: { y: 1 } }))
    const flags = ['--metadata', file, '--name', 'Portal', '--initiate-login-uri', 'https://app.example.com/login']
    const updated = await run(at(provider, 'update', 'client-1', '--store', store, ...flags))
    assert.equal(updated.code, 0, updated.warned)
    assert.match(updated.printed, /^client_name +Portal$/m)
    assert.match(updated.printed, /^x +\{"y":1\}$/m)
    const entry = provider.clients.get('client-1') ?? assert.fail()
    assert.deepEqual(entry.metadata['redirect_uris'], [REDIRECT_URI])
    assert.deepEqual(entry.metadata['contacts'], ['a@example.com'])
    const kept = await fileClientStore(store).read(provider.origin)
    assert.equal(kept?.registration_access_token, entry.token)
    assert.equal(kept?.client_secret, entry.secret)

    const deleted = await run(at(provider, 'delete', '--store', store, '--json'))
    assert.deepEqual([deleted.code, JSON.parse(deleted.printed)], [0, { client_id: 'client-1' }])
    assert.deepEqual(await readdir(store), [])
    assert.equal(provider.clients.size, 0)
    const again = await run(at(provider, 'delete', '--store', store))
    assert.deepEqual([again.code, again.printed], [1, ''])
    assert.equal(again.warned, 'error: The store contains no client.\n')
  })

  it('prints secrets with --show-secret, and then needs no store', async () => {
    const provider = await start()
    const flags = ['--redirect-uri', REDIRECT_URI, '--show-secret']
    const { printed } = await run(at(provider, 'register', '--json', ...flags))
    const client = JSON.parse(printed)
    assert.equal(client.client_secret, provider.clients.get('client-1')?.secret)

    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, `${client.registration_access_token}\n`)
    const own = ['client-1', '--registration-client-uri', client.registration_client_uri, '--token-file', tokenFile]
    const shown = await run(at(provider, 'show', ...own, '--show-secret'))
    assert.match(shown.printed, new RegExp(`^client_secret +${client.client_secret}$`, 'm'))
    const hidden = await run(at(provider, 'show', ...own))
    assert.deepEqual([hidden.code, hidden.printed], [2, ''])
    assert.match(hidden.warned, /--store/)
    const changed = await run(at(provider, 'update', ...own, '--name', 'Other'))
    assert.equal(changed.code, 2)
    const untold = await run(at(provider, 'delete', 'client-1', '--registration-client-uri', 'https://a.example/'))
    assert.equal(untold.code, 2)
    const deleted = await run(at(provider, 'delete', ...own))
    assert.deepEqual([deleted.code, deleted.printed, deleted.warned], [0, '', 'Deleted.\n'])
  })

  it('saves the client even if its secret is not new, and reports the failure', async () => {
    const provider = await start()
    await run(at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI))
    const { code, warned } = await run(at(provider, 'rotate-secret', '--store', store))
    assert.equal(code, 1)
    assert.match(
      warned,
      /^The secret is the same as before and saved in .*\nERR_OIDC_REGISTRATION_SECRET: .*\nRegister a new/,
    )
    const kept = await fileClientStore(store).read(provider.origin)
    assert.equal(kept?.registration_access_token, provider.clients.get('client-1')?.token)
  })

  it('saves the client under the key that oidc() reads', async () => {
    const provider = await start()
    const flags = ['--redirect-uri', REDIRECT_URI, '--provider', 'okta']
    await run(at(provider, 'register', '--store', store, ...flags))
    assert.ok(await fileClientStore(store).read(`${provider.origin} okta`))
  })

  it('registers nothing if the store contains a client or cannot be written', async () => {
    const provider = await start()
    const call = at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI)
    await run(call)
    const second = await run(call)
    assert.equal(second.code, 1)
    assert.match(second.warned, /^error: The store already contains a client/)
    await rm(store, { recursive: true })
    await writeFile(store, 'a file')
    const third = await run(call)
    assert.equal(third.code, 1)
    assert.match(third.warned, /^ERR_OIDC_REGISTRATION_STORE: .* \(ENOTDIR\)$/m)
    assert.equal(provider.clients.size, 1)
  })

  it('names the client that is lost if the store fails after the registration', async () => {
    const provider = await start()
    provider.answer = ({ method }) => {
      if (method === 'POST') {
        rmSync(store, { recursive: true })
        writeFileSync(store, 'a file')
      }
      return false
    }
    const { code, printed, warned } = await run(
      at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI),
    )
    assert.deepEqual([code, printed], [1, ''])
    assert.match(warned, /^The client client-1 could not be saved\..*\nERR_OIDC_REGISTRATION_STORE/)
  })

  it('prints the reason of the provider for a refusal, and what to do', async () => {
    const provider = await start()
    const refused = await run(at(provider, 'register', '--store', store))
    assert.equal(refused.code, 1)
    assert.match(
      refused.warned,
      /^ERR_OIDC_REGISTRATION_REFUSED: .*\nThe provider says invalid_redirect_uri: redirect_uris is/,
    )
    await run(at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI))
    const token = String(provider.clients.get('client-1')?.token)
    provider.clients.clear()
    const { code, warned } = await run(at(provider, 'show', '--store', store))
    assert.equal(code, 1)
    // The provider repeats the token that it refuses.
    assert.match(warned, /The provider says invalid_token: not Bearer \*{8}\nCheck the token/)
    assert.ok(!warned.includes(token))
  })

  it('prints nothing that a terminal could read as a command', async () => {
    const provider = await start()
    provider.tell = (members) => ({ ...members, client_name: 'a\u001b[31mb\u202ec\nd', 'x\u0007': [] })
    const { printed } = await run(at(provider, 'register', '--store', store, '--redirect-uri', REDIRECT_URI))
    assert.match(printed, /^client_name +a \[31mb c d$/m)
    assert.match(printed, /^x +\[\]$/m)
    assert.ok([...'\u001b\u0007\u202e'].every((character) => !printed.includes(character)))
  })
})

describe('the command at Okta', () => {
  const okta = ['--scheme', 'SSWS']

  it('registers, lists, shows, updates, rotates and deletes with the token from the environment', async () => {
    const provider = await start('okta')
    const call = (command: string, ...more: readonly string[]) => run(at(provider, command, ...okta, ...more), OKTA_ENV)
    const flags = ['--store', store, '--name', 'Portal', '--redirect-uri', REDIRECT_URI]
    const registered = await call('register', ...flags)
    assert.equal(registered.code, 0, registered.warned)
    const secret = provider.clients.get('client-1')?.secret
    await call('register', '--show-secret', '--name', 'Other\t1')

    const listed = await call('list')
    assert.equal(listed.printed, 'client-1  Portal\nclient-2  Other 1\n')
    const found = await call('list', '--json', '--query', 'Por', '--limit', '1')
    assert.deepEqual(
      JSON.parse(found.printed).map((client: Record<string, unknown>) => [
        client['client_id'],
        client['client_secret'],
      ]),
      [['client-1', undefined]],
    )
    assert.equal((await call('list', '--query', 'none')).printed, '')
    provider.clients.set('nameless', { metadata: {}, secret: undefined, secretExpiresAt: 0, token: undefined })
    assert.match((await call('list')).printed, /^nameless$/m)
    provider.clients.delete('nameless')

    assert.match((await call('show', 'client-2')).printed, /^client_name +Other 1$/m)
    assert.match((await call('update', 'client-2', '--name', 'New')).printed, /^client_name +New$/m)
    const rotated = await call('rotate-secret', '--store', store)
    assert.equal(rotated.warned, `The secret is new and saved in ${store}.\n`)
    const kept = await fileClientStore(store).read(provider.origin)
    assert.notEqual(kept?.client_secret, secret)
    assert.equal(kept?.client_secret, provider.clients.get('client-1')?.secret)
    const shown = await call('rotate-secret', 'client-2', '--show-secret')
    assert.match(shown.printed, new RegExp(`^client_secret +${provider.clients.get('client-2')?.secret}$`, 'm'))
    assert.equal((await call('delete', 'client-2')).code, 0)
    assert.deepEqual([...provider.clients.keys()], ['client-1'])
    const other = await call('delete', 'client-2', '--store', store)
    assert.equal(other.code, 2)
  })

  it('advises on what Okta rejects, and sends it anyway', async () => {
    const provider = await start('okta')
    const flags = [...okta, '--show-secret', '--name', 'a', '--application-type', 'browser']
    const { code, warned } = await run(at(provider, 'register', ...flags), OKTA_ENV)
    assert.equal(code, 0)
    assert.match(warned, /^advice: token_endpoint_auth_method should be none/)
  })

  it('explains a refused token', async () => {
    const provider = await start('okta')
    const { code, warned } = await run(at(provider, 'list'), OKTA_ENV)
    assert.equal(code, 1)
    assert.match(warned, /UNAUTHORIZED: .*\nThe provider says E0000011: Invalid token provided\n.*--scheme SSWS/)
  })

  it('uses the endpoint that is named', async () => {
    const provider = await start('okta')
    const { code } = await run(['list', '--registration-endpoint', provider.endpoint, '--insecure', ...okta], OKTA_ENV)
    assert.equal(code, 0)
    assert.ok(provider.calls.every(({ path }) => !path.startsWith('/.well-known')))
  })
})

describe('a wrong call', () => {
  const issuer = ['--issuer', 'https://op.example.com']
  const calls: readonly [string, readonly string[], RegExp][] = [
    ['nothing', [], /No command/],
    ['an unknown command', ['frob'], /no such command/],
    ["the name of an object's member", ['constructor'], /no such command/],
    ['an unknown option', ['list', '--frob'], /--frob/],
    ['an option of another command', ['list', '--store', 'a'], /--store/],
    ['a token', ['list', ...issuer, '--token', TOKEN], /--token-file/],
    ['a token after =', ['list', ...issuer, `--token=${TOKEN}`], /--token-file/],
    ['no issuer', ['list'], /--issuer is missing/],
    ['an empty issuer', ['list', '--issuer', ''], /--issuer must not be empty/],
    ['an id for list', ['list', 'client-1', ...issuer], /too many words/],
    ['two ids', ['show', 'a', 'b', ...issuer], /too many words/],
    ['no id and no store', ['show', '--registration-endpoint', 'https://op.example.com/r'], /CLIENT_ID or --store/],
    ['a store without issuer', ['show', '--registration-endpoint', 'https://a.example/r', '--store', 'a'], /--issuer/],
    ['another scheme', ['list', ...issuer, '--scheme', 'Basic'], /SSWS or Bearer/],
    ['a limit of zero', ['list', '--registration-endpoint', 'https://a.example/r', '--limit', '0'], /--limit/],
    ['a token file that is missing', ['list', ...issuer, '--token-file', '/none'], /--token-file/],
    ['register without a store for the secret', ['register', ...issuer], /--show-secret/],
    ['rotate-secret without a store for it', ['rotate-secret', 'a', ...issuer], /--show-secret/],
    ['an update of nothing', ['update', 'a', ...issuer], /There is nothing to change/],
    ['metadata that is missing', ['update', 'a', ...issuer, '--metadata', '/none'], /--metadata/],
    ['a key without an algorithm', ['generate-key'], /--alg must be one of RS256/],
    ['a key for an algorithm with a secret', ['generate-key', '--alg', 'HS256'], /--alg must be one of/],
    ['a key for the wrong use', ['generate-key', '--alg', 'ES256', '--use', 'enc'], /--use must be sig for ES256/],
  ]
  for (const [name, args, sentence] of calls) {
    it(`ends with exit code 2: ${name}`, async () => {
      const { code, printed, warned } = await run(args)
      assert.deepEqual([code, printed], [2, ''])
      assert.match(warned, sentence)
      assert.match(warned, /Try: express-oidc --help\n$/)
    })
  }

  for (const content of ['[]', 'null', '5', '{"client_name": "secret']) {
    it(`ends with exit code 2 if the metadata is ${content}`, async () => {
      const file = join(folder, 'metadata.json')
      await writeFile(file, content)
      const { code, warned } = await run(['update', 'a', ...issuer, '--metadata', file])
      assert.equal(code, 2)
      assert.doesNotMatch(warned, /secret/)
    })
  }

  it('ends with exit code 2 if the token file is empty', async () => {
    const file = join(folder, 'token')
    await writeFile(file, ' \n')
    assert.equal((await run(['list', ...issuer, '--token-file', file])).code, 2)
  })
})

describe('a failure of the command', () => {
  it('is printed with its code, its cause and advice', async () => {
    const { code, warned } = await run(['list', '--registration-endpoint', 'http://127.0.0.1:1/r', '--insecure'])
    assert.equal(code, 1)
    assert.match(warned, /^ERR_OIDC_PROVIDER_UNREACHABLE: .* \(ECONNREFUSED\)\n$/)
    const plain = await run(['list', '--registration-endpoint', 'http://127.0.0.1:1/r'])
    assert.match(plain.warned, /^ERR_OIDC_METADATA_INVALID: .*\nIn development, --insecure allows plain http\.\n$/)
    const metadata = join(folder, 'metadata.json')
    await writeFile(metadata, '{"jwks":{"keys":[{"kty":"oct","k":"secret"}]}}')
    const flags = ['--registration-endpoint', 'https://a.example/r', '--show-secret', '--metadata', metadata]
    const wrong = await run(['register', ...flags])
    assert.equal(wrong.code, 1)
    assert.match(wrong.warned, /^ERR_OIDC_CONFIG: [\s\S]*jwks must contain only public keys/)
  })

  it('is printed if it is not an OidcError', () => {
    assert.equal(describeError(new TypeError('a\nb')), 'error: a b\n')
    assert.equal(describeError(5), 'error: unknown\n')
  })
})

describe('a generated key', () => {
  const cases: readonly [alg: string, kty: string, use: string][] = [
    ['PS256', 'RSA', 'sig'],
    ['ES384', 'EC', 'sig'],
    ['EdDSA', 'OKP', 'sig'],
    ['RSA-OAEP-256', 'RSA', 'enc'],
    ['ECDH-ES+A256KW', 'EC', 'enc'],
  ]
  for (const [alg, kty, use] of cases) {
    it(`can be used in clientKeys with ${alg}`, async () => {
      const { code, printed, warned } = await run(['generate-key', '--alg', alg, '--use', use])
      assert.equal(code, 0)
      const jwk = JSON.parse(printed)
      assert.deepEqual([jwk.alg, jwk.kty, jwk.use, typeof jwk.d], [alg, kty, use, 'string'])
      assert.match(jwk.kid, /^[\w-]{43}$/)
      assert.ok(!warned.includes(jwk.d))
      parseOptions({
        issuer: 'https://op.example.com',
        clientId: 'a',
        clientSecret: 's'.repeat(32),
        baseUrl: 'https://app.example.com',
        clientKeys: [jwk],
      })
    })
  }

  it('has the kid that is given', async () => {
    assert.equal(JSON.parse((await run(['generate-key', '--alg', 'ES256', '--kid', 'k1'])).printed).kid, 'k1')
  })
})

describe('--ca', () => {
  it('trusts a private certificate authority, and no provider without it', async () => {
    const provider = await start()
    const front = stopLater(await startTlsProxy(Number(new URL(provider.origin).port)))
    const call = ['register', '--issuer', provider.origin, '--registration-endpoint']
    const endpoint = `https://localhost:${front.port}/register`
    const more = [endpoint, '--insecure', '--store', store, '--redirect-uri', REDIRECT_URI]
    const file = join(folder, 'authority.pem')
    await writeFile(file, LOOPBACK_CERTIFICATE.cert)
    const { code, warned } = await run([...call, ...more])
    assert.deepEqual([code, /ERR_OIDC_PROVIDER_UNREACHABLE/.test(warned)], [1, true], warned)
    const trusting = await run([...call, ...more, '--ca', file])
    assert.equal(trusting.code, 0, trusting.warned)
  })

  it('must name a file with certificates', async () => {
    const file = join(folder, 'no-authority.pem')
    await writeFile(file, 'a text')
    for (const path of [file, join(folder, 'absent.pem'), '']) {
      const { code, warned } = await run(['list', '--issuer', 'https://id.example.com', '--ca', path])
      assert.deepEqual([code, /^--ca must /.test(warned)], [2, true], warned)
    }
  })
})

describe('the program', { timeout: 180_000 }, () => {
  async function spawnMain(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [...NODE_ARGS, MAIN, ...args], { env: { ...process.env, ...env } })
    let printed = ''
    let warned = ''
    child.stdout.on('data', (chunk) => {
      printed += chunk
    })
    child.stderr.on('data', (chunk) => {
      warned += chunk
    })
    const [code] = await once(child, 'close')
    return { code, printed, warned }
  }

  it('runs in a shell, and returns its exit code', async () => {
    const provider = await start('okta')
    const call = at(provider, 'register', '--scheme', 'SSWS', '--store', store, '--name', 'Portal', '--json')
    const { code, printed, warned } = await spawnMain(call, OKTA_ENV)
    assert.equal(code, 0, warned)
    assert.equal(JSON.parse(printed).client_id, 'client-1')
    assert.equal((await spawnMain(['frob'])).code, 2)
    assert.equal((await spawnMain(call)).code, 1)
  })

  it('prints its help and its version', async () => {
    const { version } = JSON.parse(await readFile(`${ROOT}package.json`, 'utf8'))
    assert.deepEqual(await run(['--version']), { code: 0, printed: `${version}\n`, warned: '' })
    for (const args of [['--help'], ['-h'], ['register', '--help']]) {
      const { code, printed } = await run(args)
      assert.equal(code, 0)
      assert.match(printed, /^express-oidc: [\s\S]*rotate-secret[\s\S]*Exit codes/)
      assert.ok(printed.split('\n').every((line) => line.length <= 120))
    }
  })
})
