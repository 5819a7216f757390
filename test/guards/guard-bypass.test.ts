import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { requireAuth } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { createStand, EVIL_HTML, startStand } from '../support/hostile/hostile.ts'

// Attempts to get past a guard without a login.

const stopLater = stopAfterEach()

describe('a guard', () => {
  let calls: number
  const counted = answerJson(() => {
    calls += 1
    return { secret: 'seen' }
  })
  const stand = createStand({ app: { routes: { '/counted': [requireAuth(), counted] } } })
  beforeEach(() => {
    calls = 0
  })

  it('CVE-2025-31492: the route does not run after a guard has sent a response', async () => {
    const browser = stand.app.browser()
    for (const page of [await browser.open('/counted', { follow: false }), await browser.fetch('/counted')]) {
      assert.doesNotMatch(page.body, /seen/)
    }
    assert.equal(calls, 0)
  })

  it('CVE-2017-6062, CVE-2025-64484, CVE-2026-34457, CVE-2022-29226: no header replaces a login', async () => {
    const headers = {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
      'oidc-claim-sub': 'admin',
      oidc_claim_sub: 'admin',
      'x-forwarded-user': 'admin',
      x_forwarded_user: 'admin',
      'x-remote-user': 'admin',
      'remote-user': 'admin',
      'x-auth-request-user': 'admin',
      'x-forwarded-access-token': 'x',
      'x-original-url': '/',
      'x-rewrite-url': '/',
      'x-http-method-override': 'OPTIONS',
      'user-agent': 'GoogleHC/1.0 kube-probe/1.0 ELB-HealthChecker/2.0',
      'access-control-request-method': 'GET',
      'sec-purpose': 'prefetch',
      purpose: 'prefetch',
      upgrade: 'h2c',
    }
    for (const [name, value] of Object.entries(headers)) {
      const page = await stand.app.browser().fetch('/counted', { headers: { [name]: value } })
      assert.equal(page.status, 401, name)
    }
    assert.equal((await stand.app.browser().fetch('/counted', { headers })).status, 401)
    assert.equal(calls, 0)
  })

  it('GHSA-xmf8-cvqr-rfgj: no Authorization header causes an error', async () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'Bearer %',
      'Bearer a b',
      'Basic',
      'Basic %%%',
      '=',
      EVIL_HTML,
    ]) {
      const page = await stand.app.browser().fetch('/counted', { headers: { authorization } })
      assert.equal(page.status, 401)
    }
    assert.deepEqual([stand.app.errors, stand.app.otherErrors], [[], []])
  })

  it('CVE-2025-54576, CVE-2026-41059, GHSA-x732-6j76-qmhm: no spelling of a path bypasses a guard', async () => {
    const spellings = [
      ...[
        '/counted?/login',
        '/counted?x=/callback',
        '/counted?a#/login',
        '/counted/',
        '/COUNTED',
        '/counted//',
        '//counted',
      ],
      ...[
        '/%63ounted',
        '/counted%2f',
        '/./counted',
        '/x/../counted',
        '/counted;a=b',
        '/counted%00',
        '/login/../counted',
      ],
      ...['/callback/counted', '/counted/login', '/login%2f..%2fcounted', '/counted.json', '\\counted'],
    ]
    for (const path of spellings) {
      const { status, body } = await stand.app.browser().fetch(stand.app.origin + path)
      assert.ok([401, 404].includes(status), `${path}: ${status}`)
      assert.doesNotMatch(body, /seen/)
    }
    assert.deepEqual([calls, stand.app.otherErrors], [0, []])
  })

  it('mod_auth_openidc, 2026-08-07: only a preflight passes a guard without a login', async () => {
    const preflight = {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'GET', origin: 'https://evil.example' },
    }
    const seen = await stand.app.browser().fetch('/', preflight)
    assert.equal(seen.json()['authenticated'], false)
    for (const method of ['GET', 'POST', 'PUT', 'HEAD', 'DELETE']) {
      const page = await stand.app.browser().fetch('/counted', { ...preflight, method })
      assert.equal(page.status, 401, method)
    }
    assert.equal(calls, 0)
  })

  it('GHSA-8fpg-xm3f-6cx3: without a session, or with the provider down, there is no login', async () => {
    const without = stopLater(await startStand({ app: { session: false } }))
    without.provider.change.raw['/discovery'] = (_req, res) => void res.destroy()
    const browser = without.app.browser()
    assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
    assert.deepEqual([(await browser.fetch('/profile')).status, (await browser.fetch('/tokens')).body], [401, 'null'])
    assert.equal((await browser.fetch('/login')).status, 500)
    assert.deepEqual(codesOf(without.app), ['ERR_OIDC_SESSION_MISSING'])
  })
})
