import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import express from 'express'
import express4 from 'express4'
import { OidcError } from '../../lib/errors.ts'
import {
  allowMethods,
  headerOf,
  isPageVisit,
  isPrefetch,
  type Request,
  readForm,
  requestPath,
  requestQuery,
  wantsPage,
} from '../../lib/http/request.ts'
import { escapeHtml, redirect, send } from '../../lib/http/response.ts'
import { type Answer, exchange } from '../support/browser/http-exchange.ts'
import { listen, sendJson } from '../support/servers/http-server.ts'

/** A request with the members that the function reads. */
function requestWith(parts: Partial<Pick<Request, 'url' | 'method' | 'headers' | 'originalUrl'>>): Request {
  return { headers: {}, ...parts } as Request
}

describe('requestPath and requestQuery', () => {
  const urls: readonly (readonly [url: string | undefined, path: string, query: string])[] = [
    ['/callback', '/callback', ''],
    ['/callback?', '/callback', ''],
    ['/callback?code=a%20b&state=c+d', '/callback', 'code=a+b&state=c+d'],
    ['/callback?a=1?b=2', '/callback', 'a=1%3Fb%3D2'],
    ['/?a', '/', 'a='],
    ['?a=1', '', 'a=1'],
    ['/a?&', '/a', ''],
    [undefined, '/', ''],
  ]
  for (const [url, path, query] of urls) {
    it(`return '${path}' and '${query}' for ${url}`, () => {
      const req = requestWith(url === undefined ? {} : { url })
      assert.deepEqual([requestPath(req), String(requestQuery(req))], [path, query])
    })
  }
})

describe('headerOf', () => {
  it('returns the first value, or undefined', () => {
    const req = requestWith({ headers: { accept: 'a', 'set-cookie': ['b', 'c'] } })
    assert.deepEqual([headerOf(req, 'accept'), headerOf(req, 'set-cookie'), headerOf(req, 'x')], ['a', 'b', undefined])
  })
})

describe('wantsPage', () => {
  const html = 'text/html,*/*;q=0.8'
  const rows: readonly (readonly [headers: IncomingMessage['headers'], isPage: boolean])[] = [
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }, true],
    [{ 'sec-fetch-mode': 'navigate' }, true],
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, false],
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'frame' }, false],
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-purpose': 'prefetch' }, false],
    [{ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'x-requested-with': 'com.app' }, true],
    [{ 'sec-fetch-mode': 'cors', accept: html }, false],
    [{ 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'document', accept: html }, false],
    [{ 'sec-fetch-mode': '', accept: html }, false],
    [{ accept: html }, true],
    [{ accept: html, 'x-requested-with': 'XMLHttpRequest' }, false],
    [{ accept: 'application/xhtml+xml' }, false],
    [{ accept: '*/*' }, false],
    [{}, false],
  ]
  for (const [headers, isPage] of rows) {
    it(`returns ${isPage} for ${JSON.stringify(headers)}`, () =>
      assert.equal(wantsPage(requestWith({ headers })), isPage))
  }
})

describe('navigations and prefetches', () => {
  const download = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'empty' }
  it('N-34: a link with download is a navigation, but not a visit of a page', () => {
    assert.equal(wantsPage(requestWith({ headers: download })), true)
    assert.equal(isPageVisit(requestWith({ method: 'GET', headers: download })), false)
  })

  for (const dest of ['iframe', 'frame', 'fencedframe', 'embed', 'object']) {
    it(`N-34: what is embedded is no page: ${dest}`, () => {
      const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': dest }
      assert.equal(wantsPage(requestWith({ headers })), false)
    })
  }

  it('N-35: only XMLHttpRequest says script, not the name of an Android app', () => {
    const page = { accept: 'text/html' }
    assert.equal(wantsPage(requestWith({ headers: { ...page, 'x-requested-with': 'com.example.app' } })), true)
    assert.equal(wantsPage(requestWith({ headers: { ...page, 'x-requested-with': 'xmlhttprequest' } })), false)
  })

  const signs = [
    ['sec-purpose', 'prefetch;prerender'],
    ['x-sec-purpose', 'prefetch'],
    ['purpose', 'prefetch'],
    ['x-purpose', 'preview'],
    ['x-moz', 'prefetch'],
  ] as const
  for (const [name, value] of signs) {
    it(`N-36: ${name}: ${value} is a prefetch, and no page`, () => {
      const headers = { accept: 'text/html', [name]: value }
      assert.deepEqual([isPrefetch(requestWith({ headers })), wantsPage(requestWith({ headers }))], [true, false])
    })
  }
})

describe('allowMethods', () => {
  it('accepts the named methods, and refuses others with 405 and Allow', () => {
    allowMethods(requestWith({ method: 'POST' }), 'GET', 'POST')
    for (const req of [requestWith({ method: 'PUT' }), requestWith({})]) {
      assert.throws(
        () => allowMethods(req, 'GET', 'POST'),
        (error: unknown) => {
          assert.ok(error instanceof OidcError)
          assert.deepEqual([error.code, error.status], ['ERR_OIDC_METHOD_NOT_ALLOWED', 405])
          assert.deepEqual(error.headers, { 'Cache-Control': 'no-store', Allow: 'GET, POST' })
          return true
        },
      )
    }
  })
})

describe('a response', () => {
  async function responseOf(handler: Parameters<typeof createServer>[1]): Promise<Answer> {
    const { port, stop } = await listen(createServer({}, handler))
    const answered = await exchange({ method: 'GET', url: new URL(`http://127.0.0.1:${port}/`), headers: {} })
    await stop()
    return answered
  }

  it('by redirect() is a 303 that is not cached and sends no referrer', async () => {
    const { status, headers, body } = await responseOf((_req, res) => redirect(res, 'https://op.test/a?b=c'))
    assert.deepEqual([status, body, headers.location], [303, '', 'https://op.test/a?b=c'])
    assert.deepEqual(
      [headers['cache-control'], headers['referrer-policy'], headers['content-length']],
      ['no-store', 'no-referrer', '0'],
    )
  })

  it('by send() has its length in bytes', async () => {
    const { status, headers, body } = await responseOf((_req, res) => send(res, 418, 'text/plain', 'schön'))
    assert.deepEqual([status, body, headers['content-length']], [418, 'schön', '6'])
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
  })
})

describe('escapeHtml', () => {
  it('escapes HTML', () => {
    assert.equal(escapeHtml(`<a href="x" title='y'>&amp;`), '&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;')
    assert.equal(escapeHtml('ä 🙂 `{}'), 'ä 🙂 `{}')
  })
})

const FORM = 'application/x-www-form-urlencoded'

/** The fields that `readForm` returns behind some middleware, or the status and code of its error. */
async function readBehind(
  parsers: readonly express.RequestHandler[],
  body: string,
  type: string = FORM,
  framework: typeof express = express,
): Promise<unknown> {
  const app = framework().set('env', 'test')
  for (const parser of parsers) app.use(parser)
  app.use((req, res) => {
    readForm(req as Request).then(
      (fields) => sendJson(res, 200, [...fields]),
      (error) => sendJson(res, error.status, { code: error.code }),
    )
  })
  const { port, stop } = await listen(createServer(app))
  try {
    const url = new URL(`http://127.0.0.1:${port}/`)
    const answer = await exchange({ method: 'POST', url, headers: { 'content-type': type }, body })
    return answer.status === 200 ? JSON.parse(answer.body) : `${answer.status} ${answer.body}`
  } finally {
    await stop()
  }
}

const INVALID = '400 {"code":"ERR_OIDC_CALLBACK_INVALID"}'

describe('readForm', () => {
  const body = 'code=a%2Bb&state=c+d&name=%C3%A4&empty='
  const fields = [
    ['code', 'a+b'],
    ['state', 'c d'],
    ['name', 'ä'],
    ['empty', ''],
  ]
  const anything = (): boolean => true
  const parsers: readonly (readonly [name: string, parsers: readonly express.RequestHandler[]])[] = [
    ['nothing', []],
    ['express.urlencoded()', [express.urlencoded({ extended: false })]],
    ['express.urlencoded({ extended: true })', [express.urlencoded({ extended: true })]],
    ['express.json()', [express.json()]],
    ['express.json() and express.urlencoded()', [express.json(), express.urlencoded()]],
    ['express.raw() for everything', [express.raw({ type: anything })]],
    ['express.text() for everything', [express.text({ type: anything })]],
    ['express.raw() and express.text() for other types', [express.raw(), express.text()]],
  ]
  for (const [name, middleware] of parsers) {
    it(`reads the fields behind ${name}`, async () => {
      assert.deepEqual(await readBehind(middleware, body), fields)
    })
  }

  it('reads the fields behind a parser of Express 4, which sets an empty body for other types', async () => {
    assert.deepEqual(await readBehind([express4.json()], body, FORM, express4), fields)
    assert.deepEqual(await readBehind([express4.urlencoded({ extended: false })], body, FORM, express4), fields)
  })

  for (const type of [`${FORM}; charset=utf-8`, `${FORM};charset=UTF-8`, 'Application/X-WWW-Form-Urlencoded']) {
    it(`reads the fields of ${type}`, async () => assert.deepEqual(await readBehind([], body, type), fields))
  }

  for (const type of ['application/json', 'multipart/form-data; boundary=x', 'text/plain', `${FORM}x`, '']) {
    it(`refuses ${type || 'a body without a type'}`, async () =>
      assert.equal(await readBehind([], body, type), INVALID))
  }

  it('keeps both values of a repeated field', async () => {
    const twice = [
      ['a', '1'],
      ['a', '2'],
    ]
    assert.deepEqual(await readBehind([], 'a=1&a=2'), twice)
    assert.deepEqual(await readBehind([express.urlencoded({ extended: false })], 'a=1&a=2'), twice)
    assert.deepEqual(await readBehind([express.urlencoded({ extended: true })], 'a=1&a=2'), twice)
  })

  it('reads an empty form', async () => {
    assert.deepEqual(await readBehind([], ''), [])
    assert.deepEqual(await readBehind([express.urlencoded()], ''), [])
  })

  it('reads fields named like members of objects', async () => {
    assert.deepEqual(await readBehind([], '__proto__=1&constructor=2'), [
      ['__proto__', '1'],
      ['constructor', '2'],
    ])
  })

  it('refuses fields that a parser has converted', async () => {
    assert.equal(await readBehind([express.urlencoded({ extended: true })], 'a[b]=c'), INVALID)
    const numbers: express.RequestHandler = (req, _res, next) => {
      req.body = { code: 7 }
      next()
    }
    assert.equal(await readBehind([express.text({ type: anything }), numbers], body), INVALID)
  })

  it('refuses a body that another middleware has read and dropped', async () => {
    const swallow: express.RequestHandler = (req, _res, next) => {
      req.resume().on('end', next)
    }
    assert.equal(await readBehind([swallow], body), INVALID)
  })

  it('reads 128 KiB, and refuses more', async () => {
    const most = `a=${'x'.repeat(128 * 1024 - 2)}`
    assert.equal(JSON.stringify(await readBehind([], most)).length, most.length + '[["a",""]]'.length - 2)
    assert.equal(await readBehind([], `${most}x`), INVALID)
    assert.equal(await readBehind([], most.repeat(20)), INVALID)
  })

  it('rejects if the connection closes in the middle', async () => {
    const outcome = new Promise<unknown>((resolve) => {
      const server = createServer((req) => readForm(req).then(resolve, resolve))
      listen(server).then(({ port, stop }) => {
        const headers = { 'content-type': FORM, 'content-length': '1000' }
        const sent = request({ host: '127.0.0.1', port, method: 'POST', headers, agent: false })
        sent.on('error', () => undefined)
        sent.write('code=a', () => setImmediate(() => sent.destroy()))
        sent.on('close', () => setImmediate(() => stop()))
      }, resolve)
    })
    assert.ok((await outcome) instanceof Error)
  })
})

describe('an incomplete form', () => {
  it('is refused', async () => {
    const broken = new Readable({
      read() {
        this.destroy(new Error('aborted'))
      },
    })
    const req = Object.assign(broken, { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    await assert.rejects(readForm(req as unknown as Request), { code: 'ERR_OIDC_CALLBACK_INVALID' })
  })
})
