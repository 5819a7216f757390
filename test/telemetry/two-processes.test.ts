import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { modulePath, NODE_ARGS } from '../support/app/project.ts'
import { createStage } from '../support/app/stage.ts'
import type { SentSpan, TelemetryNodeSettings } from '../support/app/telemetry-node.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { createBrowser } from '../support/browser/browser.ts'

interface Node {
  readonly origin: string
  /** The spans that have ended in this process. */
  spans(): Promise<{ readonly pid: number; readonly spans: readonly SentSpan[] }>
  stop(): Promise<void>
}

const PROGRAM = modulePath('test/support/app/telemetry-node.ts')

async function startNode(settings: TelemetryNodeSettings): Promise<Node> {
  const child = fork(PROGRAM, [JSON.stringify(settings)], {
    execArgv: [...NODE_ARGS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const { port } = await answerOf(child)
  return {
    origin: `http://127.0.0.1:${port}`,
    async spans() {
      const answer = answerOf(child)
      child.send('spans')
      return (await answer) as Awaited<ReturnType<Node['spans']>>
    },
    async stop() {
      const exit = once(child, 'exit')
      child.disconnect()
      await exit
    },
  }
}

async function answerOf(child: ChildProcess): Promise<Record<string, unknown>> {
  const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  assert.ok(typeof message === 'object', 'the node has ended')
  return message
}

describe('the spans of a login over two processes', () => {
  const stage = createStage()

  it('are one trace, from /login in one to the session in the other, with all requests as children', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const options = {
      ...{ issuer, clientId, clientSecret, dangerouslyAllowInsecureRequests: true },
      secret: 'the secret with which the login in progress is encrypted',
    }
    const first = stage.stopLater(await startNode({ options }))
    const second = stage.stopLater(await startNode({ options: { ...options, baseUrl: first.origin } }))
    const browser = createBrowser({ origin: first.origin })
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    assert.ok(next)
    await browser.go({ ...next, url: next.url.replace(first.origin, second.origin) })
    assert.deepEqual((await browser.fetch(`${second.origin}/profile`)).json(), { isAuthenticated: true })

    const [one, other] = [await first.spans(), await second.spans()]
    assert.equal(new Set([process.pid, one.pid, other.pid]).size, 3)
    const login = one.spans.find(({ name }) => name === 'oidc login') ?? assert.fail()
    const callback = other.spans.find(({ name }) => name === 'oidc callback') ?? assert.fail()
    const all = [...one.spans, ...other.spans]
    assert.deepEqual([...new Set(all.map(({ traceId }) => traceId))], [login.traceId])
    assert.deepEqual([login.parentSpanId, callback.parentSpanId], [undefined, login.spanId])
    assert.ok(callback.isParentRemote)
    assert.equal(login.attributes['oidc.login.id'], callback.attributes['oidc.login.id'])

    const pathOf = (span: SentSpan): string => {
      const parent = all.find(({ spanId }) => spanId === span.parentSpanId)
      assert.equal(parent === undefined, span === login, `${span.name} has no parent`)
      return parent === undefined ? span.name : `${pathOf(parent)} > ${span.name}`
    }
    assert.deepEqual([...new Set(one.spans.map(pathOf))].sort(), [
      'oidc login',
      'oidc login > oidc metadata fetch',
      'oidc login > oidc metadata fetch > oidc request',
    ])
    assert.deepEqual([...new Set(other.spans.map(pathOf))].sort(), [
      'oidc login > oidc callback',
      'oidc login > oidc callback > oidc key fetch',
      'oidc login > oidc callback > oidc key fetch > oidc request',
      'oidc login > oidc callback > oidc metadata fetch',
      'oidc login > oidc callback > oidc metadata fetch > oidc request',
      'oidc login > oidc callback > oidc session store',
      // A new id of the session replaces the record of the old one.
      'oidc login > oidc callback > oidc session store > oidc session store',
      'oidc login > oidc callback > oidc token request',
      'oidc login > oidc callback > oidc token request > oidc request',
    ])
    // Every request that the provider got from a server has a span.
    const { calls } = stage.provider
    const requests = all.filter(({ name }) => name === 'oidc request')
    assert.equal(requests.length, calls['/discovery'] + calls['/jwks'] + calls['/token'])
    assert.doesNotMatch(JSON.stringify(all), /eyJ|[?&]code=|Bearer|user-subject/)
  })
})
