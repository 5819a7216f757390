import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Handler, OidcError, requireAuth } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { type AppRequest, answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'

const METHODS = ['tokens', 'idToken', 'accessToken', 'userinfo'] as const

/** Resolves with what a call that nobody waits for rejects with. */
let rejected = new Promise<unknown>(() => {})

function dropped(call: (oidc: AppRequest['oidc']) => Promise<void>): Handler {
  return (req, res) => {
    rejected = call((req as AppRequest).oidc).then(
      () => undefined,
      (error: unknown) => error,
    )
    res.end('bye')
  }
}

const routes: Routes = {
  ...Object.fromEntries(
    METHODS.flatMap((method) => [
      [`/text/${method}`, [requireAuth(), answerJson(({ oidc }) => `Bearer ${oidc[method]()}`)]],
      [`/json/${method}`, [requireAuth(), answerJson(({ oidc }) => ({ result: oidc[method]() }))]],
      [`/awaited/${method}`, [requireAuth(), answerJson(async ({ oidc }) => ({ result: await oidc[method]() }))]],
    ]),
  ),
  '/text/fetch': [requireAuth(), answerJson(({ oidc }) => String(oidc.fetch('https://api.test')))],
  '/refused': answerJson(({ oidc }) => `Bearer ${oidc.accessToken()}`),
  '/left': [requireAuth(), dropped((oidc) => oidc.logout())],
  '/in': dropped((oidc) => oidc.login()),
  '/left-well': [requireAuth(), answerBy(({ oidc }) => oidc.logout())],
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })

describe('a method of req.oidc without await', () => {
  for (const method of [...METHODS, 'fetch'] as const) {
    it(`cannot be used as text: ${method}()`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      assert.equal((await browser.open(`/text/${method}`)).status, 500)
      assert.deepEqual(
        app.errors.map(({ code, message }) => [code, message]),
        [
          [
            'ERR_OIDC_NOT_AWAITED',
            `req.oidc.${method}() returns a promise, which is used like its result. Write await req.oidc.${method}().`,
          ],
        ],
      )
    })
  }

  for (const method of METHODS) {
    it(`cannot be used as JSON: ${method}()`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      assert.equal((await browser.open(`/json/${method}`)).status, 500)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_NOT_AWAITED'])
      assert.equal((await browser.open(`/awaited/${method}`)).status, 200)
    })
  }

  it('does not end the process if it rejects', async (t) => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', listener)
    t.after(() => process.off('unhandledRejection', listener))
    const app = await stage.start()
    assert.equal((await app.browser().open('/refused')).status, 500)
    await new Promise(setImmediate)
    assert.deepEqual([codesOf(app), unhandled], [['ERR_OIDC_NOT_AWAITED'], []])
  })

  for (const [method, path] of [
    ['logout', '/left'],
    ['login', '/in'],
  ] as const) {
    it(`rejects, and is not silently without effect, if the response was sent before: ${method}()`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      await browser.open(path)
      const error = await rejected
      assert.ok(error instanceof OidcError)
      const message =
        `req.oidc.${method}() did nothing, because the response was sent before it could redirect the browser. Write ` +
        `await req.oidc.${method}(), and send no response of your own.`
      assert.deepEqual([error.code, error.message], ['ERR_OIDC_NOT_AWAITED', message])
      assert.equal(await app.sessions(), 1)
    })
  }

  it('works with await', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.open('/left-well')
    assert.deepEqual([app.errors, await app.sessions()], [[], 0])
  })
})
