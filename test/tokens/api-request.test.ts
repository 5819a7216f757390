import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage({ app: { errorHandler: 'json' } })

describe('a request to an API that responds with 401', () => {
  it('is not sent again without its body if that can be read only once', async () => {
    const bodies: string[] = []
    const api = await listen(
      createServer(async (req, res) => {
        bodies.push(Buffer.concat(await req.toArray()).toString())
        res.writeHead(401).end()
      }),
    )
    stage.stopLater(api)
    async function* read(): AsyncGenerator<Buffer> {
      yield Buffer.from('an order')
    }
    const bodiesOf = { '/iterated': read, '/text': () => 'an order', '/bytes': () => Buffer.from('an order') }
    const routes = Object.fromEntries(
      Object.entries(bodiesOf).map(([path, body]) => {
        const ask = answerJson(async ({ oidc }) => {
          // Node accepts an iterable body, which the types of browsers do not know.
          const init = { method: 'POST', body: body(), duplex: 'half' } as unknown as RequestInit
          return { status: (await oidc.fetch(`http://127.0.0.1:${api.port}/`, init)).status }
        })
        return [path, ask]
      }),
    )
    const { browser } = await stage.startLoggedIn({ scope: SCOPE }, { routes })
    for (const path of Object.keys(bodiesOf)) assert.equal((await browser.fetch(path)).json()['status'], 401)
    assert.deepEqual(
      bodies,
      Array.from({ length: 5 }, () => 'an order'),
    )
  })
})
