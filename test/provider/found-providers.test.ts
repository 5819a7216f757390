import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import { ConfigError, OidcError } from '../../lib/errors.ts'
import type { Config } from '../../lib/options/config.ts'
import { createFoundProviders } from '../../lib/provider/found-providers.ts'

afterEach(() => mock.timers.reset())

/** A memory whose function returns what `answers` has. An error is thrown. */
function createMemory(answers: Record<string, object | Error | undefined>) {
  const asked: string[] = []
  const events: string[] = []
  const memory = createFoundProviders(
    async (name) => {
      asked.push(name)
      const answer = answers[name]
      if (answer instanceof Error) throw answer
      return answer as Config | undefined
    },
    { timeout: 10, onFound: ({ name }) => events.push(`+${name}`), onGone: (name) => events.push(`-${name}`) },
  )
  return { asked, events, find: (name: string) => memory.find(name, undefined), isFresh: memory.isFresh }
}

/** Time stands still until it is moved. */
function freeze(): void {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
}

const acme = { name: 'acme', issuer: 'https://acme.example' }

describe('the memory of found providers', () => {
  it('asks once a minute for a name', async () => {
    freeze()
    const memory = createMemory({ acme })
    assert.equal(memory.isFresh('acme'), false)
    for (let count = 0; count < 3; count++) assert.equal(await memory.find('acme'), true)
    mock.timers.tick(59_999)
    assert.deepEqual([memory.isFresh('acme'), memory.asked.length], [true, 1])
    mock.timers.tick(1)
    assert.equal(memory.isFresh('acme'), false)
    assert.equal(await memory.find('acme'), true)
    assert.deepEqual([memory.asked.length, memory.events], [2, ['+acme']])
  })

  it('shares one call between lookups of one name at the same time', async () => {
    const memory = createMemory({ acme, globex: { name: 'globex' } })
    const all = await Promise.all(['acme', 'acme', 'globex', 'acme'].map(memory.find))
    assert.deepEqual(
      [all, memory.asked],
      [
        [true, true, true, true],
        ['acme', 'globex'],
      ],
    )
  })

  it('has a new client only for options that have changed', async () => {
    freeze()
    const secret = (): string => 'x'
    const answers: Record<string, object> = { acme: { ...acme, clientSecret: secret } }
    const memory = createMemory(answers)
    for (const changed of [{}, {}, { clientId: 'b' }, { clientSecret: () => 'x' }]) {
      answers['acme'] = { ...acme, clientSecret: secret, ...changed }
      await memory.find('acme')
      mock.timers.tick(60_000)
    }
    assert.deepEqual(memory.events, ['+acme', '+acme', '+acme'])
  })

  it('remembers for ten seconds that there is no such provider', async () => {
    freeze()
    const answers: Record<string, object | undefined> = {}
    const memory = createMemory(answers)
    assert.equal(await memory.find('acme'), false)
    answers['acme'] = acme
    mock.timers.tick(9999)
    assert.deepEqual([await memory.find('acme'), memory.asked.length], [false, 1])
    mock.timers.tick(1)
    assert.deepEqual([await memory.find('acme'), memory.events], [true, ['+acme']])
  })

  it('forgets a provider that is removed', async () => {
    freeze()
    const answers: Record<string, object | undefined> = { acme }
    const memory = createMemory(answers)
    await memory.find('acme')
    answers['acme'] = undefined
    mock.timers.tick(60_000)
    assert.deepEqual([await memory.find('acme'), memory.events], [false, ['+acme', '-acme']])
  })

  it('remembers a failure for five seconds', async () => {
    freeze()
    const answers: Record<string, object | Error> = { acme: new Error('the database is down') }
    const memory = createMemory(answers)
    const failure = (error: unknown): boolean =>
      error instanceof OidcError &&
      error.code === 'ERR_OIDC_PROVIDER_LOOKUP' &&
      error.status === 503 &&
      error.headers?.['Retry-After'] === '5' &&
      !error.message.includes('database')
    await assert.rejects(memory.find('acme'), failure)
    await assert.rejects(memory.find('acme'), failure)
    assert.equal(memory.asked.length, 1)
    answers['acme'] = acme
    mock.timers.tick(5000)
    assert.equal(await memory.find('acme'), true)
  })

  it('keeps the last answer for ten minutes while the function fails, and then none', async () => {
    freeze()
    const answers: Record<string, object | Error> = { acme }
    const memory = createMemory(answers)
    await memory.find('acme')
    answers['acme'] = new Error('the database is down')
    mock.timers.tick(599_999)
    assert.deepEqual([await memory.find('acme'), memory.events], [true, ['+acme']])
    mock.timers.tick(1)
    await assert.rejects(memory.find('acme'), { code: 'ERR_OIDC_PROVIDER_LOOKUP' })
    assert.deepEqual(memory.events, ['+acme', '-acme'])
  })

  it('passes on an error of invalid options as it is', async () => {
    const memory = createMemory({ acme: new ConfigError(['issuer is wrong']) })
    await assert.rejects(memory.find('acme'), { code: 'ERR_OIDC_CONFIG' })
  })

  it('does not wait for ever', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 })
    const isAsked = withResolvers()
    const memory = createFoundProviders(
      () => {
        isAsked.resolve(undefined)
        return new Promise(() => undefined)
      },
      { timeout: 10, onFound: () => undefined, onGone: () => undefined },
    )
    const found = memory.find('acme', undefined)
    await isAsked.promise
    mock.timers.tick(10_000)
    await assert.rejects(found, { code: 'ERR_OIDC_PROVIDER_LOOKUP' })
  })

  it('does not trust an answer from the future', async () => {
    freeze()
    const memory = createMemory({ acme })
    await memory.find('acme')
    mock.timers.setTime(1_700_000_000_000)
    assert.equal(memory.isFresh('acme'), false)
  })

  for (const name of [
    '',
    'ACME',
    'Acme',
    'a b',
    'a.b',
    'a/b',
    '../a',
    'a%2f',
    'ä',
    'a\n',
    '__proto__',
    'constructor',
    'default',
    'x'.repeat(65),
  ]) {
    it(`does not ask for the name ${JSON.stringify(name.slice(0, 20))}`, async () => {
      const memory = createMemory({ [name]: acme })
      assert.deepEqual([await memory.find(name), memory.asked], [false, []])
    })
  }

  it('is bounded: invented names push out no provider, and the one that is unused the longest goes first', async () => {
    freeze()
    const names = Array.from({ length: 1001 }, (_, index) => `t${index}`)
    const memory = createMemory(Object.fromEntries(names.map((name) => [name, { name }])))
    for (const name of names.slice(0, 1000)) await memory.find(name)
    for (let index = 0; index < 1500; index++) assert.equal(await memory.find(`invented-${index}`), false)
    assert.ok(memory.isFresh('t0'))
    await memory.find('t1000')
    assert.deepEqual([memory.isFresh('t0'), memory.isFresh('t1'), memory.isFresh('t1000')], [true, false, true])
    assert.deepEqual(memory.events.slice(1000), ['+t1000', '-t1'])
    const count = memory.asked.length
    // The oldest of the unknown names is asked for again, and the latest is not.
    await memory.find('invented-0')
    await memory.find('invented-1499')
    assert.equal(memory.asked.length, count + 1)
  })
})

/** Node 20 has no `Promise.withResolvers()`. */
function withResolvers(): { readonly promise: Promise<unknown>; readonly resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => undefined
  const promise = new Promise((done) => {
    resolve = done
  })
  return { promise, resolve }
}
