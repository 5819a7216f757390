import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import connect from 'connect'
import express from 'express'
import session from 'express-session'
import { oidc, requireAuth } from '../../lib/index.ts'
import { usualOptions } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { createBrowser } from '../support/browser/browser.ts'
import { listen } from '../support/servers/http-server.ts'

const stage = createStage()
const SESSION = { secret: 'x', resave: false, saveUninitialized: false }

/** Starts an Express or Connect app with `oidc()` below `mountPath`, and `basePath` in baseUrl. Returns its origin and errors. */
async function start(framework: 'express' | 'connect', mountPath: string, basePath: string) {
  const errors: unknown[] = []
  const app = framework === 'express' ? express() : connect()
  const server = createServer(app as ReturnType<typeof connect>)
  const { port } = stage.stopLater(await listen(server))
  const origin = `http://127.0.0.1:${port}`
  const use = app.use.bind(app) as (...handlers: unknown[]) => unknown
  use(session(SESSION))
  use(mountPath || '/', oidc({ ...usualOptions(stage.provider, origin), baseUrl: origin + basePath }))
  use(`${mountPath}/profile`, requireAuth())
  use((error: unknown, _req: unknown, res: { statusCode: number; end(): void }, _next: unknown) => {
    errors.push(error)
    res.statusCode = 500
    res.end()
  })
  return { browser: createBrowser({ origin }), errors }
}

describe('the mount path', () => {
  it('N-46: that baseUrl does not have is an error at the first request', async () => {
    const { browser, errors } = await start('express', '/app', '')
    assert.equal((await browser.open('/app/profile')).status, 500)
    assert.equal(Object(errors[0]).code, 'ERR_OIDC_CONFIG')
    assert.match(String(errors[0]), /baseUrl is .*mounted below another path/)
  })

  for (const framework of ['express', 'connect'] as const) {
    for (const [mountPath, basePath] of [
      ['', ''],
      ['', '/portal'],
      ['/app', '/app'],
      ['/app', '/App'],
      // A proxy removes /portal.
      ['/app', '/portal/app'],
    ] as const) {
      it(`is right with mount path '${mountPath}' and the path '${basePath}' in baseUrl: ${framework}`, async () => {
        const { browser, errors } = await start(framework, mountPath, basePath)
        const page = await browser.open(`${mountPath}/login`, { follow: false })
        assert.deepEqual([page.status, errors], [303, []])
      })
    }
  }
})
