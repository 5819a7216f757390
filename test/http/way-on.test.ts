import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Request } from '../../lib/http/request.ts'
import { findWayOn, rememberReturnTo } from '../../lib/http/way-on.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'

const ORIGIN = 'https://app.example'
const { app: config } = parseOptions({
  issuer: 'https://id.example',
  clientId: 'app',
  secret: 'the secret that seals the cookies of an app',
  baseUrl: ORIGIN,
})

function wayOnOf(url: string | undefined, returnTo?: string) {
  const req = { method: 'GET', url, headers: {} } as unknown as Request
  if (returnTo !== undefined) rememberReturnTo(req, returnTo)
  return findWayOn(config, req)
}

/** What a request may name, and what no link may lead to. */
const HOSTILE = [
  '//evil.example/x',
  '/\\evil.example',
  '/%09/evil.example',
  '/\t/evil.example',
  'https://evil.example/',
  'javascript:alert(1)',
  '\\\\evil.example',
  '/logout',
  '/callback?code=1',
]

describe('the way on after a failure', () => {
  it('leads to the page that was asked for, and from a login to the page that it leads to', () => {
    assert.equal(wayOnOf('/reports?year=2026').page, '/reports?year=2026')
    assert.deepEqual(Object.values(wayOnOf('/callback?code=1', '/reports')).slice(0, 3), ['login', '/', '/reports'])
    assert.equal(wayOnOf('/login?returnTo=/reports').loginUrl, '/login?returnTo=%2Freports')
    assert.deepEqual([wayOnOf('/logout').step, wayOnOf(undefined).page], ['logout', '/'])
  })

  for (const hostile of HOSTILE) {
    it(`never leads to ${JSON.stringify(hostile)}`, () => {
      const all = [
        wayOnOf(hostile),
        wayOnOf(`/login?returnTo=${encodeURIComponent(hostile)}`),
        wayOnOf('/callback', hostile),
      ]
      for (const { home, page, loginUrl, logoutUrl } of all) {
        for (const link of [home, page ?? home, loginUrl, logoutUrl]) {
          assert.match(link, /^\/(?![/\\])/)
          assert.equal(new URL(link, ORIGIN).origin, ORIGIN)
        }
        assert.notEqual(page, hostile)
        const returnTo = new URL(loginUrl, ORIGIN).searchParams.get('returnTo') ?? '/'
        assert.equal(new URL(returnTo, ORIGIN).origin, ORIGIN)
      }
    })
  }
})
