import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { discoverIssuer } from '../../lib/protocol/discover-issuer.ts'
import { anyText, damaged, foreignJson, nearly, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf, stopped } from '../support/properties/outcome.ts'

const REL = 'http://openid.net/specs/connect/1.0/issuer'
const ISSUER = 'https://op.example.com'

/** Looks an identifier up where every server answers this, and tells which addresses were asked. */
async function lookUp(identifier: string, body: string, status = 200) {
  const urls: URL[] = []
  const fetch = async (url: string): Promise<Response> => {
    urls.push(new URL(url))
    return new Response(body, { status, headers: { 'content-type': 'application/jrd+json' } })
  }
  const outcome = await outcomeOf(() => discoverIssuer(identifier, { fetch }), /^ERR_OIDC_(WEBFINGER_|PROVIDER_)/)
  return { ...outcome, urls }
}

const GOOD = JSON.stringify({ links: [{ rel: REL, href: ISSUER }] })

describe('what a user types', () => {
  const identifier = fc.oneof(
    textOf(
      ...[
        'joe',
        '@',
        'example.com',
        ':',
        '8080',
        '/',
        '//',
        '?',
        '#',
        '%',
        'https:',
        'http:',
        'acct:',
        'mailto:',
        '=',
        'xri:',
      ],
      ...[
        '127.0.0.1',
        '[::1]',
        '0x7f.1',
        '169.254.169.254',
        'localhost',
        '\\',
        ' ',
        '\t',
        '\u00e9',
        '.',
        '%2f',
        '%40',
        '&',
      ],
    ),
    damaged('joe@example.com'),
    fc
      .oneof(
        fc.ipV4Extended(),
        fc.ipV6().map((address) => `[${address}]`),
      )
      .map((host) => `https://${host}/joe`),
    damaged('https://example.com:8443/joe?a=b'),
    anyText,
  )

  it('leads to one request to a public address over https, or to none', async () => {
    await fc.assert(
      fc.asyncProperty(identifier, async (text) => {
        const { value, error, urls } = await lookUp(text, GOOD)
        holds(urls.length <= 1)
        const [url] = urls
        if (url === undefined) return assert.equal(error?.code, 'ERR_OIDC_WEBFINGER_IDENTIFIER')
        assert.equal(value, ISSUER)
        assert.deepEqual(
          [url.protocol, url.pathname, url.username, url.password],
          ['https:', '/.well-known/webfinger', '', ''],
        )
        const host = url.hostname.replace(/^\[|\]$/g, '')
        if (isIP(host) !== 0)
          assert.doesNotMatch(host, /^(?:127|169\.254|10|0|192\.168|22[4-9]|2[345]\d)\.|^::|^f[cde]/)
        assert.deepEqual([...url.searchParams.keys()], ['resource', 'rel'])
        assert.match(url.searchParams.get('resource') ?? '', /^(acct|https):[!-~]+$/)
      }),
      { numRuns: 200 },
    )
  })

  it('may have any length: what is too long is refused before anything is asked', () => {
    const long = repeated(1024, 'a', '@', '.', ':', '/', '#', '%', ' ', '1', '-', '=')
    fc.assert(
      fc.property(long, fc.constantFrom(1, 100), (text, times) => {
        const never = async (): Promise<Response> => new Response('{}')
        const found = stopped(() => discoverIssuer(text.repeat(times), { fetch: never }))
        found.catch(() => undefined)
      }),
      { numRuns: 25 },
    )
  })
})

describe('a WebFinger response', () => {
  const link = nearly({ rel: REL, href: ISSUER })
  const body = fc.oneof(
    fc.array(fc.oneof(link, foreignJson), { maxLength: 4 }).map((links) => JSON.stringify({ links })),
    link.map((one) => JSON.stringify({ links: one })),
    damaged(GOOD),
    foreignJson.map((json) => JSON.stringify(json)),
    anyText,
  )

  it('names an https issuer without query and fragment, or is refused', async () => {
    const status = fc.constantFrom(200, 200, 200, 302, 400, 404, 429, 500)
    await fc.assert(
      fc.asyncProperty(body, status, async (text, code) => {
        const { value } = await lookUp('joe@example.com', text, code)
        if (value === undefined) return
        const url = new URL(value)
        assert.deepEqual([url.protocol, url.search, url.hash, url.username], ['https:', '', '', ''])
        assert.equal(code, 200)
        holds(text.includes(JSON.stringify(value).slice(1, -1)))
      }),
      { numRuns: 150 },
    )
  })
})
