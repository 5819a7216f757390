import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, oidc } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Navigation, Page } from '../support/browser/browser.ts'
import { paramsOf } from '../support/hostile/hostile.ts'

// Rules that hold for each kind of response, however it is sent.

const stage = createStage({ app: { errorHandler: 'json' } })
const signed = createStage({ provider: { userinfoSignedResponseAlg: 'RS256' }, app: { errorHandler: 'json' } })

const now = (): number => Math.floor(Date.now() / 1000)

describe('N-28: nbf', () => {
  for (const [name, nbf, status] of [
    ['in the past', now() - 10, 200],
    ['half a minute ahead, as clocks differ', now() + 30, 200],
    ['in the future', now() + 300, 'refused'],
    ['that is text', 'soon', 'refused'],
    ['that is null', null, 'refused'],
  ] as const) {
    it(`N-28: ${name} is checked in a JWT that is an authorization response`, async () => {
      stage.provider.change.responseJwtClaims = (claims) => ({ ...claims, nbf })
      const app = await stage.start({ responseMode: 'query.jwt' })
      const page = await app.browser().open('/profile')
      assert.deepEqual(codesOf(app), status === 200 ? [] : ['ERR_OIDC_RESPONSE_JWT_NOT_BEFORE'])
      assert.equal(page.status, status === 200 ? 200 : 400)
    })

    it(`N-28: ${name} is checked in a JWT of UserInfo`, async () => {
      signed.provider.change.userinfo = (claims) => ({ ...claims, nbf })
      const app = await signed.start({ userinfo: true })
      const page = await app.browser().open('/profile')
      assert.deepEqual(codesOf(app), status === 200 ? [] : ['ERR_OIDC_USERINFO'])
      assert.equal(page.status, status === 200 ? 200 : 502)
    })
  }
})

/** The same response, sent in another way than requested. */
function sentBy(by: 'query' | 'form_post', answer: Navigation, from: string): Navigation {
  const params = paramsOf(answer)
  const { origin, pathname } = new URL(answer.url)
  const url = `${origin}${pathname}`
  if (by === 'form_post') return { method: 'POST', url, fields: params, from }
  return { method: 'GET', url: `${url}?${params}`, from }
}

async function answerOf(browser: Browser): Promise<Navigation> {
  const page = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
  assert.ok(page.next, page.body)
  return page.next
}

describe('N-28: the requested response mode', () => {
  for (const [responseMode, by] of [
    ['query', 'form_post'],
    ['form_post', 'query'],
    ['fragment', 'query'],
    ['query.jwt', 'form_post'],
    ['form_post.jwt', 'query'],
  ] as const) {
    const start = async (): Promise<{ page: Page; codes: readonly string[]; message: string; tokenCalls: number }> => {
      const app = await stage.start({ responseMode })
      const browser = app.browser()
      const page = await browser.go(sentBy(by, await answerOf(browser), stage.provider.issuer))
      const tokenCalls = stage.provider.calls['/token']
      return { page, codes: codesOf(app), message: app.errors[0]?.message ?? '', tokenCalls }
    }

    it(`N-28: is ${responseMode}, so a code by ${by} is refused before it is redeemed`, async () => {
      const { page, codes, message, tokenCalls } = await start()
      assert.deepEqual([page.status, codes, tokenCalls], [400, ['ERR_OIDC_CALLBACK_INVALID'], 0])
      assert.match(message, new RegExp(`came by ${by}, but responseMode is '${responseMode}'`))
    })
  }

  for (const responseMode of ['query', 'form_post', 'fragment', 'jwt', 'form_post.jwt', 'fragment.jwt'] as const) {
    for (const sameSite of ['lax', 'strict'] as const) {
      it(`N-28: is ${responseMode}, and a response by it logs in with a SameSite=${sameSite} session`, async () => {
        const app = await stage.start({ responseMode }, { session: { cookie: { sameSite } } })
        assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
      })
    }
  }

  it('N-28: is not replaced by the mark of our own page in a query', async () => {
    const app = await stage.start({ responseMode: 'form_post' })
    const browser = app.browser()
    const { url, ...answer } = sentBy('query', await answerOf(browser), stage.provider.issuer)
    await browser.go({ ...answer, url: `${url}&express_oidc_relayed=1` })
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CALLBACK_INVALID'])
  })

  it('N-28: need not be that of an error, because a provider may not know the mode', async () => {
    stage.provider.change.authorizationResponse = (params) => {
      params.delete('code')
      params.set('error', 'unsupported_response_mode')
      return params
    }
    const app = await stage.start({ responseMode: 'form_post' })
    const browser = app.browser()
    await browser.go(sentBy('query', await answerOf(browser), stage.provider.issuer))
    assert.deepEqual(codesOf(app), ['ERR_OIDC_AUTHORIZATION'])
  })
})

describe('N-28: a response without the iss that the metadata announces', () => {
  const withoutIss = (): void => {
    stage.provider.change.authorizationResponse = (params) => {
      params.delete('iss')
      return params
    }
  }

  it('N-28: logs in with dangerouslyAllowMissingIss', async () => {
    withoutIss()
    const app = await stage.start({ dangerouslyAllowMissingIss: true })
    assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
  })

  it('N-28: is refused without that option', async () => {
    withoutIss()
    const app = await stage.start()
    await app.browser().open('/profile')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_RESPONSE_ISSUER_MISSING'])
  })

  for (const iss of ['https://evil.example', '']) {
    it(`N-28: is not one with the iss ${JSON.stringify(iss)}, which is refused in any case`, async () => {
      stage.provider.change.authorizationResponse = (params) => {
        params.set('iss', iss)
        return params
      }
      const app = await stage.start({ dangerouslyAllowMissingIss: true })
      await app.browser().open('/profile')
      assert.deepEqual(codesOf(app), ['ERR_OIDC_RESPONSE_ISSUER'])
    })
  }

  it('N-28: cannot be allowed with a profile, which requires iss', () => {
    const options = {
      issuer: 'https://op.example',
      clientId: 'a',
      baseUrl: 'https://app.example',
      secret: 'x'.repeat(32),
    }
    assert.throws(
      () => oidc({ ...options, profile: 'fapi2', dangerouslyAllowMissingIss: true }),
      (error) => error instanceof ConfigError && /dangerouslyAllowMissingIss must be false/.test(error.message),
    )
  })
})
