import { nowInSeconds } from '../time/seconds.ts'
import { checkTarget, completeLogin, findUser, newSession, respondToClient } from './authorization-answer.ts'
import { type EndpointRequest, type EndpointResponse, paramOf, Refusal, requiredParam } from './endpoint-server.ts'
import { currentSession, hintedClaims } from './provider-session.ts'
import { showSignInPage } from './sign-in-page.ts'
import type { TestClient, TestUser } from './test-options.ts'
import type { TestContext, UserSession } from './test-records.ts'

/** The request header by which `login()` says for whom it comes. Its value is random and used by one login. */
export const TICKET_HEADER = 'x-test-login'

/** The authorization endpoint (OIDC Core 3.1.2, RFC 7636, RFC 9207). */
export async function authorize(context: TestContext, request: EndpointRequest): Promise<EndpointResponse> {
  const { params, headers } = request
  const target = checkTarget(context, params)
  try {
    checkRequest(params, target.client)
    if (context.misbehaviors.take('refuseLogin')) throw new Refusal('access_denied', 'The user has cancelled.')
    const ticket = context.records.tickets.get(String(headers[TICKET_HEADER]))
    const session = await findSession(context, request, ticket)
    if (session === undefined) return showSignInPage(context, params)
    return completeLogin(context, params, session)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return respondToClient(context, params, { error: error.error, error_description: error.message })
  }
}

/** Parameters that this provider does not support (OIDC Core 6, 7.2.1), with the error code for each. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  request: 'request_not_supported',
  request_uri: 'request_uri_not_supported',
  registration: 'registration_not_supported',
}

function checkRequest(params: URLSearchParams, client: TestClient): void {
  for (const name of params.keys()) paramOf(params, name)
  for (const [name, error] of Object.entries(UNSUPPORTED)) {
    if (params.has(name)) throw new Refusal(error, `The parameter ${name} is not supported.`)
  }
  if (requiredParam(params, 'response_type') !== 'code') {
    throw new Refusal('unsupported_response_type', 'The test provider has only the response_type code.')
  }
  if (!['query', 'form_post'].includes(paramOf(params, 'response_mode') ?? 'query')) {
    throw new Refusal('invalid_request', 'The response_mode must be query or form_post.')
  }
  if (!requiredParam(params, 'scope').split(' ').includes('openid')) {
    throw new Refusal('invalid_scope', 'The scope must contain openid.')
  }
  checkPkce(params, client)
  checkFreshness(params)
}

/** RFC 7636 4.3, RFC 9700 2.1.1: public clients need PKCE, and only S256 protects. */
function checkPkce(params: URLSearchParams, client: TestClient): void {
  const [challenge, method] = [paramOf(params, 'code_challenge'), paramOf(params, 'code_challenge_method')]
  if (challenge === undefined) {
    const isPublic = client.clientSecret === undefined && client.jwks === undefined
    if (!isPublic && method === undefined) return
    throw new Refusal('invalid_request', 'code_challenge is missing.')
  }
  if (method !== 'S256') throw new Refusal('invalid_request', 'code_challenge_method must be S256.')
  if (!/^[\w-]{43}$/.test(challenge))
    throw new Refusal('invalid_request', 'code_challenge is not a SHA-256 in base64url.')
}

function checkFreshness(params: URLSearchParams): void {
  const prompts = paramOf(params, 'prompt')?.split(' ') ?? []
  if (prompts.includes('none') && prompts.length > 1) {
    throw new Refusal('invalid_request', 'The prompt none stands alone.')
  }
  if (!/^\d*$/.test(paramOf(params, 'max_age') ?? '')) {
    throw new Refusal('invalid_request', 'max_age must be a number of seconds.')
  }
}

/** The session that the response is about; `undefined` if the user has to sign in on a page. */
async function findSession(
  context: TestContext,
  request: EndpointRequest,
  ticket: TestUser | undefined,
): Promise<UserSession | undefined> {
  if (ticket !== undefined) return newSession(ticket)
  const { params } = request
  const prompts = paramOf(params, 'prompt')?.split(' ') ?? []
  const session = await currentSession(context, request)
  const isEnough =
    session !== undefined && isFresh(session, params) && !prompts.some((one) => REAUTHENTICATE.includes(one))
  if (isEnough) return session
  if (prompts.includes('none')) throw new Refusal('login_required', 'Nobody is signed in here.')
  return context.setup.signInPage ? undefined : newSession(await expectedUser(context, params))
}

const REAUTHENTICATE = ['login', 'select_account', 'create']

/** OIDC Core 3.1.2.1: `max_age`. */
function isFresh({ authTime }: UserSession, params: URLSearchParams): boolean {
  const maxAge = paramOf(params, 'max_age')
  return maxAge === undefined || nowInSeconds() - authTime < Number(maxAge)
}

/** Who signs in where no page asks: whom the client expects, or the first user. */
async function expectedUser(context: TestContext, params: URLSearchParams): Promise<TestUser> {
  const { users } = context.setup
  const hint = await hintedClaims(context, params)
  if (hint === undefined) return findUser(users, paramOf(params, 'login_hint')) ?? users[0]
  const hinted = users.find(({ sub }) => sub === hint['sub'])
  if (hinted === undefined) throw new Refusal('login_required', 'The user of id_token_hint is not signed in here.')
  return hinted
}
