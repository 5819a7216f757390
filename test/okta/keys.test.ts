import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { ProviderMetadata } from '../../lib/index.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { newKey } from '../support/okta-provider/provider.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

const DAY = 86_400

async function logIn(app: TestApp): Promise<number> {
  return (await app.browser().open('/profile')).status
}

function fetches(): number {
  return stage.okta.requestsTo('keys').length
}

async function metadataOf(serverId: string, query = ''): Promise<ProviderMetadata> {
  const url = new URL(`${stage.okta.issuer(serverId)}/.well-known/openid-configuration${query}`)
  const { body } = await exchange({ method: 'GET', url, headers: { 'user-agent': 'test' } })
  return JSON.parse(body)
}

describe('the keys of a server', () => {
  it('Q-28: may be one to three, in any order: the one that signs is found by its kid', async () => {
    const { keys } = stage.okta.server('default')
    const [expired, next] = await Promise.all([newKey(), newKey()])
    const orders = [keys, [...keys, next], [...keys, next, expired]]
    for (const set of orders) {
      stage.okta.server('default').keys = set
      assert.equal(await logIn(await stage.start('default')), 200)
    }
    // The key set says the signing key last, and others before it.
    const { body } = await exchange({
      method: 'GET',
      url: new URL('/oauth2/default/v1/keys', stage.okta.orgOrigin),
      headers: { 'user-agent': 'test' },
    })
    assert.equal(JSON.parse(body)['keys'][2]['kid'], keys[0]?.kid)
  })

  it('Q-28: may change in an emergency: the next login fetches them at once', async () => {
    const app = await stage.start('default')
    await logIn(app)
    for (let emergency = 0; emergency < 2; emergency++) {
      await stage.okta.rotateKeys('default')
      assert.equal(await logIn(app), 200)
    }
    assert.deepEqual([fetches(), app.errors], [3, []])
  })

  it('Q-28: are none of before once they have changed: a token that is signed with the old one is refused', async () => {
    const app = await stage.start('default')
    await logIn(app)
    const [old] = stage.okta.server('default').keys
    await stage.okta.rotateKeys('default')
    assert.equal(await logIn(app), 200)
    assert.ok(old)
    stage.okta.change.tokenAnswer = (json) => {
      const [, payload = ''] = String(json['id_token']).split('.')
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
      return { ...json, id_token: signJws('RS256', old.privateKey, { kid: old.kid, alg: 'RS256' }, claims) }
    }
    assert.equal(await logIn(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_KEY'])
  })

  const lives: readonly (readonly [name: string, maxAge: number, kept: number])[] = [
    ['45 days, of which one is believed', 3_885_115, DAY],
    ['the 31593 s of 2017', 31_593, 31_593],
    ['ten minutes near a rotation', 600, 600],
  ]
  for (const [name, maxAge, kept] of lives) {
    it(`Q-29: are kept as Cache-Control has it, within bounds: ${name}`, async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      stage.okta.server('default').keysMaxAge = maxAge
      const app = await stage.start('default')
      await logIn(app)
      // Keys that are in use are renewed in the background from 70 % of that time on.
      mock.timers.tick(kept * 690)
      await logIn(app)
      assert.equal(fetches(), 1)
      mock.timers.tick(kept * 310 + 5000)
      await logIn(app)
      assert.deepEqual([fetches(), app.errors], [2, []])
    })
  }

  it('Q-29: are fetched once for a hundred logins of one day', async () => {
    const app = await stage.start('default')
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 10 }, () => logIn(app)))
    assert.deepEqual([fetches(), app.errors], [1, []])
  })

  it('Q-30: are none of another server’s: its signature is refused', async () => {
    const [orgKey] = stage.okta.server('org').keys
    assert.ok(orgKey)
    stage.okta.change.tokenAnswer = (json) => {
      const [, payload = ''] = String(json['id_token']).split('.')
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
      return { ...json, id_token: signJws('RS256', orgKey.privateKey, { kid: orgKey.kid, alg: 'RS256' }, claims) }
    }
    const app = await stage.start('default')
    assert.equal(await logIn(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_KEY'])
  })

  it('Q-30: are another set for a client whose keys are pinned, at an address with a query', async () => {
    stage.okta.client.pinned_keys = [newKey()]
    const app = await stage.start('default')
    assert.equal(await logIn(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_KEY'])
    const providerMetadata = await metadataOf('default', `?client_id=${stage.okta.client.client_id}`)
    assert.match(String(providerMetadata.jwks_uri), /\/v1\/keys\?client_id=/)
    const pinned = await stage.start('default', { discoveryWithClientId: true })
    assert.equal(await logIn(pinned), 200)
    assert.deepEqual(pinned.errors, [])
  })

  it('Q-31: come without x5c and need none', async () => {
    const { jwks_uri: uri } = await metadataOf('org')
    const { body } = await exchange({ method: 'GET', url: new URL(String(uri)), headers: { 'user-agent': 'test' } })
    const members = JSON.parse(body)['keys'].flatMap((key: object) => Object.keys(key))
    assert.deepEqual([...members].sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use'])
    assert.equal(await logIn(await stage.start('org')), 200)
  })
})
