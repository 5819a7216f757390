import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { type ErrorCode, OidcError } from '../../lib/errors.ts'
import { discoverIssuer } from '../../lib/protocol/discover-issuer.ts'
import type { WebFingerOptions } from '../../lib/protocol/webfinger.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { listen, sendJson } from '../support/servers/http-server.ts'

const REL = 'http://openid.net/specs/connect/1.0/issuer'
const ISSUER = 'https://op.example.com'

/** Answers as `example.com` would, and keeps what was asked. */
function createWeb(
  answer: unknown = { links: [{ rel: REL, href: ISSUER }] },
  status = 200,
  type = 'application/jrd+json',
) {
  const asked: URL[] = []
  const fetch: WebFingerOptions['fetch'] = async (url) => {
    asked.push(new URL(url))
    const body = typeof answer === 'string' ? answer : JSON.stringify(answer)
    return new Response(body, { status, headers: { 'Content-Type': type } })
  }
  return { asked, fetch }
}

async function refuses(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await promise.then(
    (value) => assert.fail(`nothing was refused: ${value}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code, inspect(error))
  assert.doesNotMatch(inspect(error), /secret/)
}

describe('what a user types', () => {
  const cases: readonly [typed: string, host: string, resource: string][] = [
    ['joe@example.com', 'example.com', 'acct:joe@example.com'],
    ['  joe@Example.COM ', 'example.com', 'acct:joe@example.com'],
    ['acct:joe@example.com', 'example.com', 'acct:joe@example.com'],
    ['ACCT:joe@example.com#top', 'example.com', 'acct:joe@example.com'],
    ['joe+tag@example.com', 'example.com', 'acct:joe+tag@example.com'],
    ['joe%40work@example.com', 'example.com', 'acct:joe%40work@example.com'],
    ['jörg"x@bücher.example', 'xn--bcher-kva.example', 'acct:j%C3%B6rg%22x@xn--bcher-kva.example'],
    ['example.com', 'example.com', 'https://example.com/'],
    ['example.com:8080', 'example.com:8080', 'https://example.com:8080/'],
    ['example.com:8080/joe', 'example.com:8080', 'https://example.com:8080/joe'],
    ['example.com/joe?a=b#c', 'example.com', 'https://example.com/joe?a=b'],
    ['https://example.com', 'example.com', 'https://example.com/'],
    ['https://example.com/joe', 'example.com', 'https://example.com/joe'],
    ['HTTPS://example.com/joe#secret', 'example.com', 'https://example.com/joe'],
    ['joe@example.com:8080', 'example.com:8080', 'https://joe@example.com:8080/'],
    ['joe@example.com/home', 'example.com', 'https://joe@example.com/home'],
  ]
  for (const [typed, host, resource] of cases) {
    it(`is ${resource} for ${typed}`, async () => {
      const { asked, fetch } = createWeb()
      assert.equal(await discoverIssuer(typed, { fetch }), ISSUER)
      assert.equal(asked.length, 1)
      assert.equal(asked[0]?.origin, `https://${host}`)
      assert.equal(asked[0]?.pathname, '/.well-known/webfinger')
      assert.deepEqual(
        [...(asked[0]?.searchParams ?? [])],
        [
          ['resource', resource],
          ['rel', REL],
        ],
      )
    })
  }

  const wrong: readonly string[] = [
    ...['', ' ', '@', 'joe@', '@example.com', '=joe', '@joe', '!joe', '+joe', '$joe', '(joe)', 'xri://=joe', '#'],
    ...[
      'http://example.com',
      'mailto:joe@example.com',
      'ftp://example.com',
      'javascript:alert(1)',
      'joe:secret@example.com',
    ],
    ...[
      'joe@evil.example@example.com',
      'acct:joe@evil.example@example.com',
      'acct:joe@example.com:8080',
      'acct:joe',
      'acct:',
    ],
    ...[
      'acct:joe@example.com/x',
      'joe @example.com',
      'joe@exa\nmple.com',
      'joe\\@example.com',
      'https://joe:secret@example.com/',
    ],
    ...['https://', 'https://[', 'joe@[', 'joe@exa%mple.com', '\ud800@example.com', `${'j'.repeat(1025)}@example.com`],
    ...[
      '127.0.0.1',
      'joe@127.0.0.1',
      'https://10.0.0.1/',
      '[::1]:8080',
      'joe@169.254.169.254',
      '0x7f.1',
      'joe@2130706433',
    ],
  ]
  for (const typed of wrong) {
    it(`is refused without a request: ${inspect(typed.slice(0, 50))}`, async () => {
      const { asked, fetch } = createWeb()
      await refuses(discoverIssuer(typed, { fetch }), 'ERR_OIDC_WEBFINGER_IDENTIFIER')
      assert.equal(asked.length, 0)
    })
  }
})

describe('the host of the request', () => {
  it('must be in the option hosts, if it is set', async () => {
    const { asked, fetch } = createWeb()
    const hosts = ['example.com', '10.0.0.1:8443']
    assert.equal(await discoverIssuer('joe@example.com', { fetch, hosts }), ISSUER)
    assert.equal(await discoverIssuer('https://10.0.0.1:8443/joe', { fetch, hosts }), ISSUER)
    await refuses(discoverIssuer('joe@other.example', { fetch, hosts }), 'ERR_OIDC_WEBFINGER_IDENTIFIER')
    await refuses(discoverIssuer('joe@example.com', { fetch, hosts: [] }), 'ERR_OIDC_WEBFINGER_IDENTIFIER')
    const http = { fetch, hosts, dangerouslyAllowInsecureRequests: true }
    await refuses(discoverIssuer('joe@other.example', http), 'ERR_OIDC_WEBFINGER_IDENTIFIER')
    assert.equal(asked.length, 2)
  })

  it('must not resolve to an address in our own network', async () => {
    await refuses(discoverIssuer('joe@localhost'), 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })

  it('can be the option server, with its own resource scheme', async () => {
    const { asked, fetch } = createWeb()
    const okta = { fetch, server: 'https://example.okta.com/', resourceScheme: 'okta:acct' }
    assert.equal(await discoverIssuer('joe@example.com', okta), ISSUER)
    assert.equal(asked[0]?.origin, 'https://example.okta.com')
    assert.equal(asked[0]?.searchParams.get('resource'), 'okta:acct:joe@example.com')
    assert.equal(await discoverIssuer('https://example.com/joe', okta), ISSUER)
    assert.equal(asked[1]?.searchParams.get('resource'), 'https://example.com/joe')
    await refuses(discoverIssuer('joe@example.com', { ...okta, server: 'example.okta.com' }), 'ERR_OIDC_CONFIG')
    await refuses(
      discoverIssuer('joe@example.com', { ...okta, server: 'http://10.0.0.1' }),
      'ERR_OIDC_METADATA_INVALID',
    )
  })
})

describe('the response to a WebFinger request', () => {
  it('may have other links first', async () => {
    const href = 'https://op.example.com/tenant/'
    const links = [
      null,
      'x',
      { rel: 'avatar', href: 'https://a.example' },
      { rel: REL, href },
      { rel: REL, href: ISSUER },
    ]
    assert.equal(await discoverIssuer('joe@example.com', createWeb({ links })), href)
  })

  it('may be plain JSON', async () => {
    const { fetch } = createWeb(undefined, 200, 'application/json')
    assert.equal(await discoverIssuer('joe@example.com', { fetch }), ISSUER)
  })

  it('names an identity provider behind Okta if that is requested', async () => {
    const href = 'https://example.okta.com/sso/idps/0oa1'
    const { asked, fetch } = createWeb({
      links: [
        { rel: REL, href: ISSUER },
        { rel: 'okta:idp', href },
      ],
    })
    assert.equal(await discoverIssuer('joe@example.com', { fetch, rel: 'okta:idp' }), href)
    assert.equal(asked[0]?.searchParams.get('rel'), 'okta:idp')
  })

  const refused: readonly [string, unknown, number, string, ErrorCode][] = [
    ['no link', { subject: 'acct:joe@example.com' }, 200, 'application/jrd+json', 'ERR_OIDC_WEBFINGER_UNKNOWN'],
    [
      'another link',
      { links: [{ rel: 'a', href: ISSUER }] },
      200,
      'application/jrd+json',
      'ERR_OIDC_WEBFINGER_UNKNOWN',
    ],
    ['404', {}, 404, 'application/json', 'ERR_OIDC_WEBFINGER_UNKNOWN'],
    ['400', 'no', 400, 'text/plain', 'ERR_OIDC_WEBFINGER_UNKNOWN'],
    ['429', {}, 429, 'application/json', 'ERR_OIDC_PROVIDER_BUSY'],
    ['500', {}, 500, 'application/json', 'ERR_OIDC_PROVIDER_STATUS'],
    ['a redirect', '', 302, 'text/plain', 'ERR_OIDC_PROVIDER_REDIRECT'],
    ['HTML', '<h1>Welcome</h1>', 200, 'text/html', 'ERR_OIDC_WEBFINGER_RESPONSE'],
    ['a list', [], 200, 'application/jrd+json', 'ERR_OIDC_WEBFINGER_RESPONSE'],
    ['links that are none', { links: {} }, 200, 'application/jrd+json', 'ERR_OIDC_WEBFINGER_RESPONSE'],
    ['2 MiB', ' '.repeat(2 ** 21), 200, 'application/jrd+json', 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ]
  for (const [name, answer, status, type, code] of refused) {
    it(`is refused: ${name}`, async () => {
      const { fetch } = createWeb(answer, status, type)
      await refuses(discoverIssuer('joe@example.com', { fetch }), code)
    })
  }

  const hrefs = [
    'http://op.example.com',
    `${ISSUER}?a=b`,
    `${ISSUER}#a`,
    'op.example.com',
    'javascript:alert(1)',
    '',
    5,
    null,
  ]
  for (const href of [...hrefs, 'https://user@op.example.com', undefined]) {
    it(`is refused with the issuer ${href}`, async () => {
      const { fetch } = createWeb({ links: [{ rel: REL, href }] })
      await refuses(discoverIssuer('joe@example.com', { fetch }), 'ERR_OIDC_WEBFINGER_RESPONSE')
    })
  }
})

describe('WebFinger over real connections', () => {
  const stopLater = stopAfterEach()

  async function start(answer: (res: ServerResponse) => void): Promise<string> {
    const { port } = stopLater(await listen(createServer((_, res) => answer(res))))
    return `http://127.0.0.1:${port}`
  }

  it('works with http if insecure requests are allowed', async () => {
    const origin = await start((res) => sendJson(res, 200, { links: [{ rel: REL, href: 'http://localhost:1' }] }))
    const found = await discoverIssuer(`${origin}/joe`, { dangerouslyAllowInsecureRequests: true })
    assert.equal(found, 'http://localhost:1')
  })

  it('has a time limit', async () => {
    const origin = await start(() => undefined)
    const options = { dangerouslyAllowInsecureRequests: true, timeout: 0.1 }
    await refuses(discoverIssuer(origin, options), 'ERR_OIDC_PROVIDER_TIMEOUT')
  })
})
