import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { ProviderError } from '../../lib/errors.ts'
import type { HttpClient } from '../../lib/provider/http-client.ts'
import { createEndpointOutcomes, withOutcomes } from '../../lib/provider/provider-status.ts'

const ISSUER = 'https://id.example'

/** What is known after requests that end as `request` says. */
async function statusAfter(urls: readonly string[], request: HttpClient['request']) {
  const outcomes = createEndpointOutcomes()
  const http = withOutcomes({ request, getJson: () => assert.fail() }, outcomes)
  for (const url of urls) await http.request(url, { method: 'GET' }).catch(() => undefined)
  return outcomes.status()
}

function failing(error: unknown): HttpClient['request'] {
  return () => Promise.reject(error)
}

describe('what is known of the endpoints of a provider', () => {
  it('is nothing before the first request', async () => {
    assert.deepEqual(await statusAfter([], failing(new Error('x'))), {
      isReachable: null,
      lastError: null,
      endpoints: {},
    })
  })

  it('is the code of an error of ours, and no more than "unknown" of any other', async () => {
    const ours = new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', 'away')
    assert.equal(
      (await statusAfter([`${ISSUER}/token`], failing(ours))).lastError?.code,
      'ERR_OIDC_PROVIDER_UNREACHABLE',
    )
    const foreign = await statusAfter([`${ISSUER}/token`], failing(new Error('has a secret in it')))
    assert.deepEqual([foreign.isReachable, foreign.lastError?.code], [false, 'unknown'])
  })

  it('has no query, which could hold what belongs to a user', async () => {
    const { endpoints } = await statusAfter([`${ISSUER}/end?id_token_hint=secret`], failing(new Error('x')))
    assert.deepEqual(Object.keys(endpoints), [`${ISSUER}/end`])
  })

  it('names the latest of several failures', async (t) => {
    mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    t.after(() => mock.timers.reset())
    const outcomes = createEndpointOutcomes()
    outcomes.of(`${ISSUER}/token`).failed('first')
    mock.timers.tick(2000)
    outcomes.of(`${ISSUER}/jwks`).failed('second')
    outcomes.of(`${ISSUER}/userinfo`).succeeded()
    assert.deepEqual(outcomes.status().lastError, { code: 'second', at: 1002 })
    assert.equal(outcomes.status().isReachable, false)
  })

  it('forgets the oldest of more than 32', async () => {
    const urls = Array.from({ length: 40 }, (_, index) => `${ISSUER}/${index}`)
    const { endpoints } = await statusAfter(urls, failing(new Error('x')))
    assert.deepEqual(Object.keys(endpoints), urls.slice(8))
  })
})
