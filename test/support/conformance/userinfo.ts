import assert from 'node:assert/strict'
import { contentsOf } from '../../../lib/options/response-type.ts'
import { logIn, type Outcome } from '../hostile/hostile.ts'
import { type ClaimsProvider, startClaimsProvider } from '../strict-provider/claims-provider.ts'
import type { JsonObject, StrictRequest } from '../strict-provider/context.ts'
import { firstRequest } from '../strict-provider/provider.ts'
import { unsigned } from './changes.ts'
import { assertFinished, assertStopped, finishes, type Look } from './ends.ts'
import type { Module, Modules, Run } from './suite.ts'
import type { Variant } from './variant.ts'

async function profileOf({ browser }: Outcome): Promise<JsonObject> {
  return (await browser.fetch('/profile')).json()
}

function userinfoRequest({ provider }: Run<Variant>): StrictRequest {
  const request = firstRequest(provider, '/userinfo')
  assert.ok(request)
  return request
}

const lookAtHeader: Look = (run) => {
  const { headers, query, form } = userinfoRequest(run)
  assert.match(headers.authorization ?? '', /^Bearer [\w-]+$/)
  assert.deepEqual([[...query], [...form]], [[], []])
}

const lookAtBody: Look = (run) => {
  const { headers, query, form, method } = userinfoRequest(run)
  assert.deepEqual(
    [method, headers.authorization, [...query], [...form.keys()]],
    ['POST', undefined, [], ['access_token']],
  )
}

const lookAtSigned: Look = async (run, outcome) => {
  assert.equal(userinfoRequest(run).headers.accept, 'application/jwt')
  assert.equal((await profileOf(outcome))['email'], 'alice@example.test')
}

/** UserInfo about somebody else. The suite ends as soon as it is asked: nobody but us sees that it is not believed. */
const invalidSub: Module<Variant> = async (suite) => {
  const run = await suite.start()
  run.provider.change.userinfo = (good) => ({ ...good, sub: `${good['sub']}invalid` })
  const { code } = contentsOf(run.variant.response_type)
  await assertStopped(run, await logIn(run), 'ERR_OIDC_USERINFO_SUBJECT', { '/token': code ? 1 : 0, '/userinfo': 1 })
}

/** Some claims come from elsewhere; the look is at what the client makes of that. */
function claimsFrom(
  by: 'aggregated' | 'distributed',
  act: (claims: ClaimsProvider) => void,
  look: (claims: ClaimsProvider, profile: JsonObject) => void,
): Module<Variant> {
  return async (suite) => {
    const claims = await startClaimsProvider()
    try {
      act(claims)
      const run = await suite.start({ provider: { claimsFrom: { provider: claims, by } } })
      const outcome = await logIn(run)
      await assertFinished(run, outcome)
      assert.deepEqual(claims.complaints, [])
      look(claims, await profileOf(outcome))
    } finally {
      await claims.stop()
    }
  }
}

/** What UserInfo is, and how it is asked. */
export const USERINFO_MODULES: Modules<Variant> = {
  'oidcc-client-test-userinfo-invalid-sub': invalidSub,
  'oidcc-client-test-userinfo-bearer-header': finishes(
    undefined,
    { provider: { userinfoBearerMethod: 'header' } },
    lookAtHeader,
  ),
  'oidcc-client-test-userinfo-bearer-body': finishes(
    undefined,
    { provider: { userinfoBearerMethod: 'body' } },
    lookAtBody,
  ),
  'oidcc-client-test-userinfo-signed': finishes(
    undefined,
    { provider: { userinfoSignedResponseAlg: 'RS256' } },
    lookAtSigned,
  ),
  // Nobody has signed what comes along: the login is as good as without it, and the claims are not taken.
  'oidcc-client-test-aggregated-claims': claimsFrom(
    'aggregated',
    ({ change }) => {
      change.jwt = unsigned
    },
    ({ asked }, { address, phone_number: phone, email }) =>
      assert.deepEqual([asked, address, phone, email], [[], undefined, undefined, 'alice@example.test']),
  ),
  'oidcc-client-test-distributed-claims': claimsFrom(
    'distributed',
    () => undefined,
    ({ asked }, { phone_number: phone }) => {
      assert.deepEqual([asked[0], asked.filter((path) => path === '/claims').length], ['/claims', 1])
      assert.equal(phone, '+43 316 7654321')
    },
  ),
}
