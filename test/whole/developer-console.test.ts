import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { explain, stackForDevelopers } from '../../lib/console/explanations.ts'
import { createNotices, showFailure } from '../../lib/console/failures.ts'
import { ERROR_STATUS } from '../../lib/error-codes.ts'
import { AuthorizationError, ConfigError, OidcError, ProviderError } from '../../lib/errors.ts'
import { describeForLog } from '../../lib/http/error-log.ts'
import type { Request } from '../../lib/http/request.ts'
import { configAt } from '../../lib/options/config.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createSetupCheck, showPostLogoutRedirectUri, showRedirectUri } from '../../lib/session/setup-check.ts'
import { captureConsole } from '../support/mistakes/stand.ts'

const NAMES = ['NODE_ENV', 'NO_COLOR', 'NODE_TEST_CONTEXT', 'NODE_APP_INSTANCE'] as const
const usual = Object.fromEntries(NAMES.map((name) => [name, process.env[name]]))

function setEnvironment(values: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

beforeEach(() => setEnvironment({ ...usual, NODE_ENV: 'development' }))
afterEach(() => {
  mock.timers.reset()
  setEnvironment(usual)
})

function written(act: () => void): string {
  const stop = captureConsole()
  try {
    act()
  } catch (error) {
    stop()
    throw error
  }
  return stop()
}

describe('the console of a developer', () => {
  it('gets one block for a failure, then one line a second with a count', () => {
    mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    const error = (): OidcError => new OidcError('ERR_OIDC_STATE_MISSING', 'The test repeats this.')
    const first = written(() => showFailure(error()))
    assert.match(first, /^\nOidcError \[ERR_OIDC_STATE_MISSING\]: The test repeats this\.\n\n {2}Usual cause: /)
    assert.equal(
      written(() => {
        for (let i = 0; i < 50; i += 1) showFailure(error())
      }),
      '',
    )
    mock.timers.tick(1000)
    assert.equal(
      written(() => showFailure(error())),
      '\n[ERR_OIDC_STATE_MISSING] again, 52 times now. It is explained above.\n',
    )
    assert.match(
      written(() => showFailure(new OidcError('ERR_OIDC_STATE_MISSING', 'Another.'))),
      /Another\./,
    )
  })

  it('gets what the provider said and the lower failure, without control characters', () => {
    const error = new ProviderError('ERR_OIDC_TOKEN_REQUEST', 'The provider answered 401.', {
      cause: new Error('reset\u001b[2J'),
      refusal: { error: 'invalid_client', errorDescription: 'wrong\u001b[31m secret' },
    })
    const text = written(() => showFailure(error))
    assert.match(text, /Response: {5}"invalid_client": "wrong\\u001b\[31m secret"/)
    assert.match(text, /Reason: {7}"reset\\u001b\[2J"/)
    assert.ok(!text.includes('\u001b'))
  })

  it('gets the error code of the provider alone, if that is all it said', () => {
    const error = new ProviderError('ERR_OIDC_TOKEN_REQUEST', 'It answered 400.', {
      refusal: { error: 'invalid_grant' },
    })
    assert.match(
      written(() => showFailure(error)),
      /Response: {5}"invalid_grant"$/m,
    )
  })

  it('gets the code of a lower failure without a message, or its name, and nothing twice that is ours', () => {
    const reasonOf = (cause: unknown): string | undefined =>
      /Reason: +(.*)$/m.exec(
        written(() => showFailure(new OidcError('ERR_OIDC_STATE_MISSING', `${Math.random()}`, { cause }))),
      )?.[1]
    assert.equal(reasonOf(Object.assign(new Error(''), { code: 'ECONNREFUSED' })), '"ECONNREFUSED"')
    assert.equal(reasonOf(new TypeError('')), '"TypeError"')
    assert.equal(reasonOf(new OidcError('ERR_OIDC_STATE_MISSING', 'lower')), undefined)
    assert.equal(reasonOf('text'), undefined)
  })

  it('has the plain stack for a code that the documentation does not have', () => {
    const error = { name: 'OidcError', code: 'ERR_OIDC_NOT_WRITTEN_DOWN', message: 'x' }
    assert.equal(explain(error.code), undefined)
    assert.equal(stackForDevelopers(error, 'OidcError: x\n    at app.ts'), 'OidcError: x\n    at app.ts')
  })

  it('has an explanation with all parts for each code', () => {
    for (const code of Object.keys(ERROR_STATUS)) {
      const { usualCause, whatToDo, link } = explain(code) ?? assert.fail(code)
      assert.ok(usualCause !== '' && whatToDo !== '' && /errors\.md:\d+$/.test(link), code)
    }
  })

  it('has a line in the log for a request without a method and a URL', () => {
    const entry = describeForLog(new OidcError('ERR_OIDC_STATE_MISSING', 'x'), { headers: {} } as Request, 'r')
    assert.deepEqual([entry.method, typeof entry.path, entry.reference], ['', 'string', 'r'])
  })

  it('remembers a bounded number of failures', () => {
    const show = (index: number): string =>
      written(() => showFailure(new OidcError('ERR_OIDC_STATE_MISSING', `number ${index}`)))
    for (let index = 0; index < 2000; index += 1) show(index)
    assert.match(show(0), /number 0/)
  })

  it('has colors on a terminal only, and not with NO_COLOR', () => {
    const { isTTY, hasColors } = process.stderr
    Object.assign(process.stderr, { isTTY: true, hasColors: () => true })
    try {
      const text = written(() => showFailure(new OidcError('ERR_OIDC_STATE_MISSING', 'In color.')))
      assert.ok(text.startsWith('\n\u001b[31mOidcError'))
      setEnvironment({ NO_COLOR: '1' })
      assert.match(
        written(() => showFailure(new OidcError('ERR_OIDC_STATE_MISSING', 'In black.'))),
        /^\nOidcError/,
      )
    } finally {
      Object.assign(process.stderr, { isTTY, hasColors })
    }
  })

  for (const [name, environment] of [
    ['in production', { NODE_ENV: 'production' }],
    ['in tests', { NODE_ENV: 'test' }],
    ['below node --test', { NODE_ENV: undefined, NODE_TEST_CONTEXT: 'child-v8' }],
  ] as const) {
    it(`stays quiet ${name}`, () => {
      setEnvironment(environment)
      const text = written(() => {
        showFailure(new OidcError('ERR_OIDC_STATE_MISSING', `Quiet ${name}.`))
        createNotices()('a', 'A notice.')
      })
      assert.equal(text, '')
    })
  }

  it('gets each notice once for each oidc()', () => {
    const notify = createNotices()
    const text = written(() => {
      notify('a', 'First.')
      notify('a', 'First.')
      createNotices()('a', 'Second.')
    })
    assert.equal(text, '\nexpress-oidc: First.\n\nexpress-oidc: Second.\n')
  })

  for (const show of [showRedirectUri, showPostLogoutRedirectUri]) {
    it(`gets each URI to register once, also if the hosts of one client have different ones: ${show.name}`, () => {
      const baseUrl = ['https://one.test', 'https://two.test']
      const options = { issuer: 'https://op.test', clientId: 'app', clientSecret: 's'.repeat(32), baseUrl }
      const { app, clients } = parseOptions(options)
      const configs = app.hosts.flatMap((host) => clients.map((config) => configAt(config, host)))
      const notify = createNotices()
      const text = written(() => {
        for (const config of [...configs, ...configs]) show(notify, config)
      })
      assert.deepEqual(text.match(/https:\/\/(?:one|two)\.test/g), baseUrl)
    })
  }
})

describe('the stack of an error', () => {
  it('has the explanation during development, and the lines of the library in production', () => {
    assert.match(
      new ConfigError(['a is wrong.']).stack ?? '',
      /\n {2}Usual cause: .*[\s\S]*Read more: +\S*docs\/errors\.md:\d+/,
    )
    setEnvironment({ NODE_ENV: 'production' })
    const { stack } = new ConfigError(['a is wrong.'])
    assert.doesNotMatch(stack ?? '', /Usual cause/)
    assert.match(stack ?? '', /\n {4}at /)
  })

  it('is all that console.error() prints during development, besides the cause', () => {
    const error = new ConfigError(['a is wrong.'])
    assert.equal(inspect(error), error.stack)
    assert.match(inspect(new OidcError('ERR_OIDC_CONFIG', 'x', { cause: new Error('y') })), /\[cause\]: Error: y/)
    setEnvironment({ NODE_ENV: 'production' })
    assert.match(inspect(new ConfigError(['a is wrong.'])), /status: 500/)
  })

  it('can be replaced', () => {
    const error = new ConfigError(['a is wrong.'])
    error.stack = 'another'
    assert.equal(error.stack, 'another')
  })
})

describe('a refused login', () => {
  it('names the error code if it is one of the standards, and no other text of the response', () => {
    assert.match(new AuthorizationError({ error: 'invalid_scope' }).message, /refused the login with invalid_scope\./)
    const { message } = new AuthorizationError({ error: 'evil', errorDescription: 'evil' })
    assert.ok(!message.includes('evil'))
  })
})

describe('the check of the setup', () => {
  const { app } = parseOptions({
    ...{ issuer: 'https://op.test', clientId: 'app', clientSecret: 's'.repeat(32), baseUrl: 'https://app.test' },
  })
  const page = { accept: 'text/html', host: 'app.test' }
  class MemoryStore {}

  function noticesFor(req: object): readonly string[] {
    const names: string[] = []
    createSetupCheck(app, (name) => names.push(name))?.({ headers: page, ...req } as Request)
    return names
  }

  const rows: readonly (readonly [name: string, req: object, notices: readonly string[]])[] = [
    ['a good setup', { secure: true, session: { cookie: { secure: true } } }, []],
    [
      'a proxy that Express does not trust',
      { headers: { ...page, 'x-forwarded-proto': 'https' }, secure: false },
      ['trust-proxy'],
    ],
    ['a proxy that Express trusts', { headers: { ...page, 'x-forwarded-proto': 'https' }, secure: true }, []],
    ['a mount path of Connect', { url: '/login', originalUrl: '/auth/login?x=/login' }, ['mount-path']],
    ['a mount path of Express, which is an error', { url: '/login', originalUrl: '/auth/login', baseUrl: '/auth' }, []],
    ['no mount path of Connect', { url: '/auth/login?x', originalUrl: '/auth/login?x' }, []],
    ['a URL that a middleware has replaced', { url: '/login', originalUrl: '/other' }, []],
    ['a proxy before Connect', { headers: { ...page, 'x-forwarded-proto': 'https' } }, []],
    ['another host', { headers: { ...page, host: 'localhost:3000' } }, ['host']],
    ['another port, which gets the same cookies', { headers: { ...page, host: 'app.test:3000' } }, []],
    ['another host behind a proxy', { headers: { ...page, host: '10.0.0.1', 'x-forwarded-for': '10.0.0.9' } }, []],
    ['another host of a script', { headers: { accept: '*/*', host: 'localhost:3000' } }, []],
    ['a memory store', { sessionStore: new MemoryStore() }, []],
    ['SameSite=None without Secure', { session: { cookie: { sameSite: 'none' } } }, ['same-site-none']],
    ['SameSite=None with Secure', { session: { cookie: { sameSite: 'none', secure: true } } }, []],
    ['SameSite=Strict', { session: { cookie: { sameSite: 'strict' } } }, ['same-site-strict']],
  ]
  for (const [name, req, notices] of rows) {
    it(`knows ${name}`, () => assert.deepEqual(noticesFor(req), notices))
  }

  it('knows a memory store in several processes', () => {
    setEnvironment({ NODE_APP_INSTANCE: '1' })
    assert.deepEqual(noticesFor({ sessionStore: new MemoryStore() }), ['memory-store'])
  })

  it('does not exist in production', () => {
    setEnvironment({ NODE_ENV: 'production' })
    assert.equal(
      createSetupCheck(app, () => {}),
      undefined,
    )
  })
})
