import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createStage } from '../support/app/stage.ts'
import { EVIL_HTML } from '../support/hostile/hostile.ts'

// The page that checks the session at the provider.

describe('the page that checks the session', () => {
  const managed = createStage({ provider: { sessionManagement: 'announced' } })

  it('of mod_auth_openidc, 2026-05-20: HTML in a session_state is escaped in the page that checks the session', async () => {
    const evil = `</script><script>alert(1)</script>'"\\\u2028`
    managed.provider.change.authorizationResponse = (params) => {
      params.set('session_state', evil)
      return params
    }
    const { browser } = await managed.startLoggedIn()
    const { status, body } = await browser.fetch('/session-check')
    assert.equal(status, 200)
    assert.ok(!body.includes('<script>alert') && !body.includes("alert(1)</script>'"))
    assert.ok(body.split('</script>').length <= 2)
  })

  it('CVE-2019-1010247, mod_auth_openidc, 2026-05-20: that page ignores poll and login_uri in its URL', async () => {
    const { browser } = await managed.startLoggedIn()
    const without = (text: string): string => text.replace(/nonce="[^"]+"/, '')
    const plain = without((await browser.fetch('/session-check')).body)
    for (const value of ['1);alert(1', EVIL_HTML, 'https://evil.example', 'javascript:alert(1)']) {
      const query = new URLSearchParams({ poll: value, login_uri: value, returnTo: value, session_state: value })
      assert.equal(without((await browser.fetch(`/session-check?${query}`)).body), plain)
    }
  })
})
