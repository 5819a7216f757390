import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { ConfigError, fromEnv, oidc } from '../../lib/index.ts'
import { variablesOf } from '../../lib/options/environment-table.ts'
import { APP_OPTIONS, PROVIDER_OPTIONS } from '../../lib/options/option-table.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { readText } from '../support/docs/code-blocks.ts'

const SECRET = 'f3c1e0a99b8d4c7ea5f2b6d813c40e97'
const ENV = {
  OIDC_ISSUER: 'https://id.example.com',
  OIDC_CLIENT_ID: 'portal',
  OIDC_CLIENT_SECRET: SECRET,
  OIDC_BASE_URL: 'https://app.example.com',
}

type Env = Readonly<Record<string, string | undefined>>

/** The problems of these variables; empty if there are none. Whatever they are, no message has the secret. */
function problemsOf(env: Env, options: object = {}): readonly string[] {
  try {
    fromEnv({ ...options, env })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.ok(!inspect(error, { depth: 9, customInspect: false }).includes(SECRET))
    return error.faults
  }
}

let folder = ''
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'express-oidc-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('fromEnv()', () => {
  it('reads the options that oidc() needs', () => {
    const options = fromEnv({ env: ENV })
    assert.deepEqual(options, {
      baseUrl: 'https://app.example.com',
      issuer: 'https://id.example.com',
      clientId: 'portal',
      clientSecret: SECRET,
    })
    assert.equal(typeof oidc(options), 'function')
  })

  it('refuses a value that is no text, without showing it', () => {
    const env = { ...ENV, OIDC_CLIENT_SECRET: { secret: SECRET } as never }
    assert.throws(() => fromEnv({ env }), /OIDC_CLIENT_SECRET must be text\./)
  })

  it('reads process.env by default, and nothing that does not begin with the prefix', () => {
    const before = { ...process.env }
    // The test runner has variables of its own.
    for (const name of Object.keys(before)) if (name.startsWith('OIDC_')) delete process.env[name]
    Object.assign(process.env, ENV)
    try {
      assert.equal(fromEnv().issuer, 'https://id.example.com')
    } finally {
      for (const name of Object.keys(ENV)) delete process.env[name]
      Object.assign(process.env, before)
    }
  })

  const values: readonly (readonly [variable: string, text: string, option: string, value: unknown])[] = [
    ['OIDC_SCOPE', 'openid profile', 'scope', 'openid profile'],
    ['OIDC_SILENT_LOGIN', 'true', 'silentLogin', true],
    ['OIDC_REVOKE_TOKENS', 'false', 'revokeTokens', false],
    ['OIDC_TIMEOUT', '2.5', 'timeout', 2.5],
    ['OIDC_LOGIN_LIFETIME', '3600', 'loginLifetime', 3600],
    ['OIDC_ANONYMOUS_USER_STATUS', '204', 'anonymousUserStatus', 204],
    ['OIDC_USERINFO', 'true', 'userinfo', true],
    ['OIDC_USERINFO', 'when-needed', 'userinfo', 'when-needed'],
    [
      'OIDC_TRUSTED_ORIGINS',
      'https://a.example, https://b.example',
      'trustedOrigins',
      ['https://a.example', 'https://b.example'],
    ],
    ['OIDC_PASSTHROUGH_PARAMS', 'login_hint', 'passthroughParams', ['login_hint']],
    ['OIDC_SECRET', `${'a'.repeat(32)}\n${'b'.repeat(32)}`, 'secret', ['a'.repeat(32), 'b'.repeat(32)]],
    ['OIDC_SECRET', 'a,b'.repeat(11), 'secret', 'a,b'.repeat(11)],
    ['OIDC_ROUTES_LOGIN', '/sign-in', 'routes', { login: '/sign-in' }],
    ['OIDC_AUTHORIZATION_PARAMS', '{"prompt":"login"}', 'authorizationParams', { prompt: 'login' }],
    ['OIDC_ID_TOKEN_SIGNED_RESPONSE_ALG', 'ES256', 'idTokenSignedResponseAlg', 'ES256'],
    ['OIDC_DPOP_BOUND_ACCESS_TOKENS', 'true', 'dpopBoundAccessTokens', true],
    [
      'OIDC_SHARED_SIGNALS_AUDIENCE',
      'https://app.example.com/events',
      'sharedSignals',
      { audience: 'https://app.example.com/events' },
    ],
  ]
  for (const [variable, text, option, value] of values) {
    it(`reads ${variable}=${text.slice(0, 20)}`, () => {
      const options = fromEnv({ env: { ...ENV, [variable]: text } })
      assert.deepEqual(Reflect.get(options, option), value)
      parseOptions(options)
    })
  }

  it('puts several variables of a group together', () => {
    const { routes } = fromEnv({ env: { ...ENV, OIDC_ROUTES_LOGIN: '/in', OIDC_ROUTES_BACKCHANNEL_LOGOUT: '/bcl' } })
    assert.deepEqual(routes, { login: '/in', backchannelLogout: '/bcl' })
  })

  it('reads a secret from a file, without the line break at its end', () => {
    for (const content of [SECRET, `${SECRET}\n`, `${SECRET}\r\n`]) {
      const { OIDC_CLIENT_SECRET: _, ...env } = ENV
      const OIDC_CLIENT_SECRET_FILE = file('secret', content)
      assert.equal(fromEnv({ env: { ...env, OIDC_CLIENT_SECRET_FILE } }).clientSecret, SECRET)
    }
  })

  it('reads the issuer from a file, too', () => {
    const { OIDC_ISSUER, ...env } = ENV
    assert.equal(fromEnv({ env: { ...env, OIDC_ISSUER_FILE: file('issuer', OIDC_ISSUER) } }).issuer, OIDC_ISSUER)
  })

  it('may have another prefix', () => {
    const env = Object.fromEntries(Object.entries(ENV).map(([name, value]) => [`APP_${name}`, value]))
    assert.equal(fromEnv({ prefix: 'APP_OIDC_', env: { ...env, OIDC_OTHER: 'x' } }).clientId, 'portal')
  })

  it('reads the options of one of several providers alone', () => {
    const env = { STAFF_ISSUER: 'https://staff.example', STAFF_CLIENT_ID: 'portal', STAFF_CALLBACK: '/back' }
    const staff = fromEnv({ prefix: 'STAFF_', only: 'provider', env })
    assert.deepEqual(staff, { issuer: 'https://staff.example', clientId: 'portal', callback: '/back' })
    parseOptions({ baseUrl: 'https://app.example', secret: SECRET, providers: { staff } })
    const withBaseUrl = { ...env, STAFF_BASE_URL: 'https://app.example' }
    assert.match(problemsOf(withBaseUrl, { prefix: 'STAFF_', only: 'provider' })[0] ?? '', /^STAFF_BASE_URL is not/)
  })

  const wrong: readonly (readonly [name: string, change: Env, message: RegExp, more?: object])[] = [
    ['no issuer', { OIDC_ISSUER: undefined }, /^OIDC_ISSUER is not set, but the option issuer is required\./],
    ['no base URL', { OIDC_BASE_URL: undefined }, /^OIDC_BASE_URL is not set/],
    ['an empty secret', { OIDC_CLIENT_SECRET: '' }, /^OIDC_CLIENT_SECRET is empty\./],
    ['a blank secret', { OIDC_CLIENT_SECRET: ' \n' }, /^OIDC_CLIENT_SECRET is empty\./],
    ['an empty flag', { OIDC_SILENT_LOGIN: '' }, /^OIDC_SILENT_LOGIN is empty\./],
    ['an empty path', { OIDC_CLIENT_ID: undefined, OIDC_CLIENT_ID_FILE: '' }, /^OIDC_CLIENT_ID_FILE is empty\./],
    [
      'a secret twice',
      { OIDC_CLIENT_SECRET_FILE: '/x' },
      /^OIDC_CLIENT_SECRET and OIDC_CLIENT_SECRET_FILE are both set\./,
    ],
    [
      'an unknown name',
      { OIDC_CLIENTID: 'x' },
      /^OIDC_CLIENTID is not a variable of fromEnv\(\); did you mean OIDC_CLIENT_ID\?/,
    ],
    ['an unknown file', { OIDC_SECRETS_FILE: 'x' }, /did you mean OIDC_SECRET\?/],
    ['a name of other software', { OIDC_REDIRECT_URI: 'x' }, /did you mean OIDC_BASE_URL\?/],
    ['a name without likeness', { OIDC_QQQ: 'x' }, /^OIDC_QQQ is not a variable of fromEnv\(\)\. .* another prefix/],
    ['the name of an object', { OIDC_TO_STRING: 'x' }, /^OIDC_TO_STRING is not a variable/],
    [
      'a callback',
      { OIDC_CALLBACK: '/x' },
      /^OIDC_CALLBACK is not a variable of fromEnv\(\); did you mean OIDC_ROUTES_CALLBACK\?/,
    ],
    ['hooks', { OIDC_HOOKS: 'x' }, /^OIDC_HOOKS is not read, because hooks can only be set in code\./],
    ['providers', { OIDC_PROVIDERS: 'x' }, /^OIDC_PROVIDERS is not read/],
    [
      'a flag that is a number',
      { OIDC_SILENT_LOGIN: '1' },
      /^OIDC_SILENT_LOGIN must be true or false\. Received "1"\./,
    ],
    ['a flag in capitals', { OIDC_SILENT_LOGIN: 'True' }, /^OIDC_SILENT_LOGIN must be true or false\./],
    ['a number with a unit', { OIDC_TIMEOUT: '10s' }, /^OIDC_TIMEOUT must be a number\. Received "10s"\./],
    ['a hexadecimal number', { OIDC_TIMEOUT: '0x1f' }, /^OIDC_TIMEOUT must be a number\./],
    [
      'a number out of range',
      { OIDC_TIMEOUT: '600' },
      /^OIDC_TIMEOUT must be a number of seconds from 0\.001 to 120\./,
    ],
    [
      'a list with a wrong item',
      { OIDC_TRUSTED_ORIGINS: 'https://a.example,b' },
      /^OIDC_TRUSTED_ORIGINS\[1\] must be an origin/,
    ],
    ['a list without items', { OIDC_TENANTS: ', ,' }, /^OIDC_TENANTS must be a list of one or more/],
    ['a wrong route', { OIDC_ROUTES_LOGIN: 'login' }, /^OIDC_ROUTES_LOGIN must be a path/],
    ['a wrong issuer', { OIDC_ISSUER: 'id.example.com' }, /^OIDC_ISSUER must be an absolute https URL/],
    [
      'a secret with a line break',
      { OIDC_CLIENT_SECRET: `${SECRET}\n${SECRET}` },
      /^OIDC_CLIENT_SECRET must contain only printable/,
    ],
    ['a short secret', { OIDC_SECRET: 'short' }, /^OIDC_SECRET must be a string of at least 32 characters/],
    ['a secret that is no JSON', { OIDC_CLIENT_KEYS: SECRET }, /^OIDC_CLIENT_KEYS must be JSON\./],
    ['JSON of another kind', { OIDC_AUTHORIZATION_PARAMS: '[]' }, /^OIDC_AUTHORIZATION_PARAMS must be/],
    [
      'the secret for its path',
      { OIDC_CLIENT_SECRET: undefined, OIDC_CLIENT_SECRET_FILE: SECRET },
      /^The file that OIDC_CLIENT_SECRET_FILE names cannot be read \(ENOENT\)\./,
    ],
    [
      'the secret in a path',
      { OIDC_CLIENT_SECRET: undefined, OIDC_CLIENT_SECRET_FILE: `${SECRET}\0` },
      /^The file that OIDC_CLIENT_SECRET_FILE names cannot be read/,
    ],
    ['a prefix in lower case', {}, /^options\.prefix must be capital letters/, { prefix: 'oidc_' }],
    ['an empty prefix', {}, /^options\.prefix must be capital letters/, { prefix: '' }],
    ['an unknown part', {}, /^options\.only must be one of 'provider'/, { only: 'app' }],
    [
      'an unknown option',
      {},
      /^options\.prefixes is not an option; did you mean options\.prefix\?/,
      { prefixes: 'X_' },
    ],
  ]
  for (const [name, change, message, more] of wrong) {
    it(`refuses ${name}`, () => {
      const env = Object.fromEntries(Object.entries({ ...ENV, ...change }).filter(([, value]) => value !== undefined))
      const problems = problemsOf(env, more)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0] ?? '', message)
    })
  }

  it('refuses a file that is a folder, is empty, or is no text', () => {
    mkdirSync(join(folder, 'sub'))
    const { OIDC_CLIENT_SECRET: _, ...env } = ENV
    const rows = [
      [join(folder, 'sub'), /names cannot be read \(EISDIR\)/],
      [file('empty', '\n'), /^The file that OIDC_CLIENT_SECRET_FILE names is empty\./],
      [file('bytes', Uint8Array.of(0xff, 0xfe, 0x00)), /names cannot be read \(ERR_ENCODING_INVALID_ENCODED_DATA\)/],
    ] as const
    for (const [OIDC_CLIENT_SECRET_FILE, message] of rows) {
      const problems = problemsOf({ ...env, OIDC_CLIENT_SECRET_FILE })
      assert.match(problems.join(), message)
      assert.ok(!problems.join().includes(folder))
    }
  })

  it('names all problems at once', () => {
    assert.equal(problemsOf({ OIDC_TIMEOUT: 'x', OIDC_QQQ: 'y' }).length, 4)
  })

  it('reads no variable that is inherited', () => {
    const env = Object.assign(Object.create({ OIDC_CLIENT_SECRET: SECRET }), { ...ENV })
    delete env.OIDC_CLIENT_SECRET
    assert.equal(fromEnv({ env }).clientSecret, undefined)
  })
})

describe('the variables of fromEnv()', () => {
  const variables = variablesOf('OIDC_', ['app', 'provider'])

  it('cover every option', () => {
    const covered = new Set(variables.map(({ path }) => path[0]))
    for (const name of [...Object.keys(APP_OPTIONS), ...Object.keys(PROVIDER_OPTIONS)]) {
      if (name !== 'callback') assert.ok(covered.has(name), name)
    }
    for (const [name, { members }] of Object.entries({ ...APP_OPTIONS, ...PROVIDER_OPTIONS })) {
      if (members === undefined || ['registration', 'hooks'].includes(name)) continue
      const paths = variables.filter(({ path }) => path[0] === name).map(({ path }) => path[1])
      assert.deepEqual(paths, Object.keys(members), name)
    }
  })

  it('have names of their own', () => {
    const names = variables.flatMap(({ name }) => [name, `${name}_FILE`])
    assert.equal(new Set(names).size, names.length)
  })

  it('stand in docs/environment.md, each with its form', () => {
    const rows = new Map(
      [...readText('docs/environment.md').matchAll(/^\| `(OIDC_\w+)` \| `([\w.]+)` \| (.*) \|$/gm)].map(
        ([, name, path, form]) => [name, { path, form }],
      ),
    )
    const documented = variables.filter(({ form }) => form !== 'code')
    assert.deepEqual([...rows.keys()].sort(), documented.map(({ name }) => name).sort())
    for (const { name, path, form } of documented) {
      assert.deepEqual(rows.get(name), { path: path.join('.'), form: WORDS[form] }, name)
    }
  })
})

/** What the documentation calls each form. */
const WORDS: Readonly<Record<string, string>> = {
  text: 'text',
  flag: '`true` or `false`',
  flagOrText: '`true`, `false` or text',
  number: 'number',
  words: 'list',
  oneOrMore: 'text or list',
  secrets: 'text, or several separated by white space',
  json: 'JSON',
}
