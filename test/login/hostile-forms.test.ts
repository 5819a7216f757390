import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readForms } from '../support/browser/html-form.ts'
import {
  arrive,
  assertLoggedIn,
  createStand,
  EVIL_HTML,
  logIn,
  paramsOf,
  withParams,
} from '../support/hostile/hostile.ts'

// Forms that come to the callback, and the page that posts them again.

describe('a form at the callback', () => {
  const stand = createStand({ app: { options: { responseMode: 'form_post' } } })

  it('CVE-2021-32792: the fields in the page that posts the response again are escaped', async () => {
    const texts = [
      `' onfocus='alert(1)`,
      `" autofocus onfocus="alert(1)`,
      '</form><form action=//evil.example>',
      '&quot;&#39;',
    ]
    const { browser, answer } = await arrive(stand)
    const params = paramsOf(answer)
    for (const [index, text] of texts.entries()) params.set(`x${index}${text}`, text)
    const page = await browser.go(withParams(answer, params), { follow: false })
    const forms = readForms(page.body, page.url)
    assert.equal(forms.length, 1)
    assert.equal(forms[0]?.action, `${stand.app.origin}/callback`)
    const sent = new Map(forms[0]?.fields)
    for (const [index, text] of texts.entries()) assert.equal(sent.get(`x${index}${text}`), text)
    for (const [, text = ''] of page.body.matchAll(/(?:name|value)="([^"]*)"/g)) assert.doesNotMatch(text, /['<>]/)
    await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
  })

  it('CVE-2021-20718, CVE-2025-3891, CVE-2023-49 of Envoy: the app still runs after invalid responses of every kind', async () => {
    const bodies = [undefined, '', '&', '=', 'state', 'state=', '%', '\0', 'state=x&state=y', EVIL_HTML]
    const types = [undefined, '', 'application/x-www-form-urlencoded', 'application/json', 'multipart/form-data', ';']
    for (const body of bodies) {
      for (const type of types) {
        const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
        const options = body === undefined ? { headers } : { headers, body }
        const page = await stand.app.browser().fetch('/callback', { method: 'POST', ...options })
        assert.ok([200, 400].includes(page.status))
      }
    }
    assert.deepEqual(stand.app.otherErrors, [])
    stand.app.errors.length = 0
    await assertLoggedIn(stand, await logIn(stand))
  })
})
