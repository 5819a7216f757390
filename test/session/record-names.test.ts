import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RedisStore } from 'connect-redis'
import { redisState } from '../../lib/redis.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri } from '../support/app/logout-observer.ts'
import { createStage, share } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { startMortalRedis } from '../support/hostile/fault-injection.ts'
import { skipWithoutRedis } from '../support/servers/redis.ts'

// Names of users and sessions, as parts of the keys of records.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

describe('the names of records in Redis', { skip: skipWithoutRedis }, () => {
  const redis = share(startMortalRedis)

  it('CVE-2021-32785: names with special characters are kept as they are, in the store and in the shared state', async () => {
    const { client } = redis()
    await client.flushAll()
    await client.set('other', 'x')
    const subs = ['%s%n%x', '* ? [a-z]', '{}', '\'"`; FLUSHALL', '\\r\\nFLUSHALL', 'x'.repeat(255), 'a b', '0', '$(id)']
    const settings = { session: { store: new RedisStore({ client, prefix: 'app:' }) } }
    const app = await stage.start({ sharedState: redisState({ client }) }, settings)
    const browsers = new Map<string, Browser>()
    for (const sub of subs) {
      stage.provider.account = { sub, claims: {} }
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, sid: `${sub} %s\r\n` })
      browsers.set(sub, await logIn(app))
    }
    for (const [index, sub] of subs.entries()) {
      const subject = index % 2 === 0 ? { sub } : { sid: `${sub} %s\r\n` }
      assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
      for (const [rank, other] of subs.entries()) {
        assert.equal(await isIn(browsers.get(other) ?? app.browser()), rank > index, `${other} after ${sub}`)
      }
    }
    assert.equal(await client.get('other'), 'x')
  })
})
