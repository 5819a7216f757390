import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import {
  headerOf,
  isPrefetch,
  type Request,
  readForm,
  readJsonBody,
  requestPath,
  requestQuery,
  wantsPage,
} from '../../lib/http/request.ts'
import { escapeHtml } from '../../lib/http/response.ts'
import { anyText, damaged, foreignJson, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf, stopped } from '../support/properties/outcome.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'
const LARGEST = 128 * 1024
const INVALID = /^ERR_OIDC_CALLBACK_INVALID$/

/** A request whose body comes in these pieces, and which counts how many bytes of it were read. */
function posted(type: string | undefined, pieces: Iterable<Uint8Array>): { req: Request; bytesRead: () => number } {
  let read = 0
  function* counted(): Generator<Uint8Array> {
    for (const piece of pieces) {
      read += piece.byteLength
      yield piece
    }
  }
  const stream = Readable.from(counted(), { objectMode: false, highWaterMark: 1024 })
  const req = Object.assign(stream, { headers: type === undefined ? {} : { 'content-type': type } })
  return { req: req as unknown as Request, bytesRead: () => read }
}

/** A request whose body some parser has read and kept in this form. */
function parsed(type: string, body: unknown): Request {
  return { headers: { 'content-type': type }, readableDidRead: true, body } as Request
}

const anyType: Arbitrary<string | undefined> = fc.oneof(
  fc.constantFrom(FORM, JSON_TYPE, `${FORM}; charset=utf-8`, `${JSON_TYPE} ;x`, 'text/plain', undefined),
  textOf(FORM, JSON_TYPE, ';', ' ', '/', 'application', 'charset=utf-8'),
)

const anyBody: Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  textOf('a', '=', '&', '%', '%00', '%zz', '+', 'state', 'code', '[', ']', '__proto__').map((text) =>
    Buffer.from(text),
  ),
  foreignJson.chain((value) => damaged(JSON.stringify(value))).map((text) => Buffer.from(text)),
)

describe('a posted body', () => {
  it('is a form or a JSON value, or is refused', async () => {
    await fc.assert(
      fc.asyncProperty(anyType, fc.array(anyBody, { maxLength: 3 }), async (type, pieces) => {
        const form = await outcomeOf(() => readForm(posted(type, pieces).req), INVALID)
        const json = await outcomeOf(() => readJsonBody(posted(type, pieces).req), INVALID)
        holds(form.error ?? form.value instanceof URLSearchParams)
        holds(form.error ?? json.error, 'one body is both a form and JSON')
      }),
      { numRuns: 150 },
    )
  })

  it('that a body parser has read is a form or a JSON value, or is refused', async () => {
    const body = fc.oneof(fc.anything({ withNullPrototype: true }), fc.dictionary(anyText, anyText), anyText, anyBody)
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const { value: form } = await outcomeOf(() => readForm(parsed(FORM, value)), INVALID)
        if (form !== undefined) holds([...form].every((field) => field.every((text) => typeof text === 'string')))
        await outcomeOf(() => readJsonBody(parsed(JSON_TYPE, value)), INVALID)
      }),
      { numRuns: 500 },
    )
  })

  it('gives the fields that were sent, from the stream and from a body parser alike', async () => {
    // URLSearchParams makes U+FFFD of half a surrogate pair, as every sender does.
    const text = fc.string({ unit: 'grapheme', maxLength: 10 })
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name }), async (fields) => {
        const sent = new URLSearchParams([...fields])
        const streamed = await readForm(posted(FORM, [Buffer.from(String(sent))]).req)
        assert.deepEqual([...streamed], fields)
        const fromParser = await readForm(parsed(FORM, Object.fromEntries(fields)))
        assert.deepEqual(new Map(fromParser), new Map(fields))
      }),
      { numRuns: 100 },
    )
  })

  it('is given up soon after 128 KiB, however much more of it comes', async () => {
    const size = fc.integer({ min: 1, max: 64 * 1024 })
    await fc.assert(
      fc.asyncProperty(size, fc.constantFrom(FORM, JSON_TYPE), async (chunk, type) => {
        function* endless(): Generator<Uint8Array> {
          for (;;) yield new Uint8Array(Math.max(chunk, 512)).fill(0x61)
        }
        const { req, bytesRead } = posted(type, endless())
        const { error } = await outcomeOf(() => (type === FORM ? readForm(req) : readJsonBody(req)), INVALID)
        holds(error)
        // What has come, the piece that was too much, and what the stream had ready.
        holds(bytesRead() <= LARGEST + 4 * 64 * 1024, `${bytesRead()} bytes were read`)
        holds(req.destroyed)
      }),
      { numRuns: 10 },
    )
  })
})

describe('the head of a request', () => {
  const anyUrl = textOf('/', '?', '#', '%', '&', '=', 'a', '/callback', '//', 'http://evil.example', '%2f')
  const anyHeader = fc.oneof(fc.constant(undefined), anyText, fc.array(anyText, { minLength: 1, maxLength: 2 }))

  it('is read whatever it holds', () => {
    const name = fc.constantFrom('accept', 'sec-fetch-mode', 'sec-fetch-dest', 'sec-purpose', 'x-requested-with')
    fc.assert(
      fc.property(anyUrl, fc.dictionary(name, anyHeader), (url, headers) => {
        const req = { url, headers } as unknown as Request
        const query = url.includes('?') ? url.slice(url.indexOf('?') + 1) : ''
        assert.equal(requestPath(req), url.split('?')[0])
        assert.deepEqual([...requestQuery(req)], [...new URLSearchParams(query)])
        for (const header of Object.keys(headers)) holds(['string', 'undefined'].includes(typeof headerOf(req, header)))
        holds(!(wantsPage(req) && isPrefetch(req) && 'sec-fetch-mode' in req.headers))
      }),
      { numRuns: 500 },
    )
  })

  it('of any content type is compared at once', async () => {
    await fc.assert(
      fc.asyncProperty(repeated(16_000, FORM, JSON_TYPE, ' ', '\t', ';', '/'), async (type) => {
        await stopped(() =>
          Promise.all([outcomeOf(() => readForm(parsed(type, ''))), outcomeOf(() => readJsonBody(parsed(type, '')))]),
        )
      }),
      { numRuns: 20 },
    )
  })
})

describe('text in a page', () => {
  it('has no character that HTML could take for markup, and reads as it was', () => {
    const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
    fc.assert(
      fc.property(textOf('<', '>', '&', '"', "'", '&amp;', '</script>'), (text) => {
        const escaped = escapeHtml(text)
        assert.doesNotMatch(escaped, /[<>"']/)
        assert.equal(
          escaped.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? ''),
          text,
        )
      }),
    )
  })
})
