import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { TestProvider } from '../../../lib/testing.ts'
import { type Answer, exchange } from '../browser/http-exchange.ts'

/** What a client sends and what it keeps, for a request without an application. */
export const VERIFIER = 'a-verifier-of-more-than-forty-three-characters'
export const REDIRECT_URI = 'http://localhost:3000/callback'

type Values = Readonly<Record<string, string | undefined>>

/** The parameters of a good authorization request, with some changed; `undefined` leaves one out. */
export function authorizationParams({ clientId }: TestProvider, changed: Values = {}): URLSearchParams {
  return paramsOf({
    client_id: clientId,
    redirect_uri: REDIRECT_URI,
    response_type: 'code',
    scope: 'openid profile email offline_access',
    state: 'a-state',
    nonce: 'a-nonce',
    code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
    code_challenge_method: 'S256',
    ...changed,
  })
}

function paramsOf(values: Values): URLSearchParams {
  const given = Object.entries(values).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  )
  return new URLSearchParams(given)
}

/** Sends a browser to the authorization endpoint. */
export function authorize(provider: TestProvider, changed: Values = {}, cookie?: string): Promise<Answer> {
  const url = new URL(`${provider.issuer}/authorize`)
  url.search = String(authorizationParams(provider, changed))
  const headers: Record<string, string> = cookie === undefined ? {} : { cookie }
  return exchange({ method: 'GET', url, headers })
}

/** The parameters with which the browser is sent back. */
export function answerOf({ headers, body }: Answer): Readonly<Record<string, string>> {
  assert.ok(headers.location?.startsWith(`${REDIRECT_URI}?`), headers.location ?? body)
  return Object.fromEntries(new URL(String(headers.location)).searchParams)
}

/** A code for a good request, or a changed one. */
export async function getCode(provider: TestProvider, changed: Values = {}): Promise<string> {
  const { code } = answerOf(await authorize(provider, changed))
  return code ?? assert.fail('there is no code')
}

/** Posts a form. The client authenticates with its secret in a header, unless the headers say otherwise. */
export function post(
  { issuer, clientId, clientSecret = '' }: TestProvider,
  path: string,
  fields: Values,
  headers: Readonly<Record<string, string>> = { authorization: basic(clientId, clientSecret) },
): Promise<Answer> {
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const url = new URL(issuer + path)
  return exchange({ method: 'POST', url, headers: { ...type, ...headers }, body: String(paramsOf(fields)) })
}

export function basic(clientId: string, secret: string): string {
  return `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`
}

/** A good token request, with some parameters changed. */
export function codeFields(code: string, changed: Values = {}): Values {
  return { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: VERIFIER, ...changed }
}

/** The JSON of a response. */
export function jsonOf({ body }: Answer): Readonly<Record<string, unknown>> {
  return JSON.parse(body)
}

/** The tokens of a whole login. */
export async function getTokens(
  provider: TestProvider,
  changed: Values = {},
): Promise<Readonly<Record<string, string>>> {
  const answer = await post(provider, '/token', codeFields(await getCode(provider, changed)))
  assert.equal(answer.status, 200, answer.body)
  return JSON.parse(answer.body)
}

/** A document of the provider. */
export async function documentAt({ issuer }: TestProvider, path: string): Promise<Readonly<Record<string, unknown>>> {
  return jsonOf(await exchange({ method: 'GET', url: new URL(issuer + path), headers: {} }))
}

/** What must be there of a refusal. */
export function assertRefused(answer: Answer, error: string, status = 400): void {
  assert.deepEqual([jsonOf(answer)['error'], answer.status], [error, status], answer.body)
}
