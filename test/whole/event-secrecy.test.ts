import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { stopAfterEach } from '../support/app/stage.ts'
import { logIn, startStand } from '../support/hostile/hostile.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

// What events must not show.

const stopLater = stopAfterEach()

describe('the events of a login', () => {
  const CHANNELS = ['login-start', 'login', 'logout', 'denied', 'error', 'provider'].map(
    (name) => `express-oidc:${name}`,
  )

  it('mod_auth_openidc, 2026-05-23 and 2026-07-28: no event holds a token, code or secret', async () => {
    const published = new Map<string | symbol, string>()
    const listen = (message: unknown, name: string | symbol): void => {
      published.set(name, `${published.get(name) ?? ''}\n${inspect(message, { depth: 10 })}`)
    }
    for (const channel of CHANNELS) subscribe(channel, listen)
    const options = { userinfo: true, scope: 'openid offline_access' }
    const stand = stopLater(await startStand({ app: { options } }))
    const secrets = new Set([stand.provider.clientSecret])
    const remember = (good: JsonObject): JsonObject => {
      for (const name of ['access_token', 'id_token', 'refresh_token']) secrets.add(String(good[name]))
      return good
    }
    try {
      stand.provider.change.tokenResponse = remember
      const { browser } = await logIn(stand)
      await browser.fetch('/reports')
      await browser.post('/logout')
      stand.provider.change.tokenResponse = (good, answer) => {
        answer.status = 400
        return { ...remember(good), error: 'invalid_grant' }
      }
      await logIn(stand)
      stand.provider.change.tokenResponse = (good) => ({ ...remember(good), token_type: 'mac' })
      await logIn(stand)
      for (const name of ['code', 'state', 'nonce', 'code_verifier']) {
        const sources = stand.provider.requests.flatMap(({ query, form }) => [query, form])
        for (const value of sources.flatMap((source) => source.getAll(name))) secrets.add(value)
      }
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listen)
    }
    assert.deepEqual([...published.keys()].sort(), CHANNELS.sort())
    assert.ok(secrets.size >= 22)
    for (const text of published.values()) {
      for (const secret of secrets) assert.ok(secret.length >= 16 && !text.includes(secret), text)
    }
  })
})
