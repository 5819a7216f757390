import { escapeHtml } from '../http/response.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { isRegistered } from './client-check.ts'
import { type EndpointResponse, page, paramOf, Refusal, requiredParam } from './endpoint-server.ts'
import { sessionCookie } from './provider-session.ts'
import type { TestClient, TestUser } from './test-options.ts'
import { type Grant, randomValue, type TestContext, type UserSession } from './test-records.ts'

/** How long a code can be redeemed, in seconds (RFC 6749 4.1.2). */
const CODE_LIFETIME = 60

/** Sends a code for a user who has just been recognized or signed in. */
export function completeLogin(context: TestContext, params: URLSearchParams, session: UserSession): EndpointResponse {
  const { client, redirectUri } = checkTarget(context, params)
  const grant: Grant = {
    client,
    session,
    scope: requiredParam(params, 'scope'),
    audience: paramOf(params, 'resource') ?? context.setup.audience,
    acr: acrOf(session.user, params),
    isRevoked: false,
  }
  const code = randomValue()
  context.records.codes.set(code, {
    grant,
    redirectUri,
    codeChallenge: paramOf(params, 'code_challenge'),
    nonce: paramOf(params, 'nonce'),
    expiresAt: nowInSeconds() + CODE_LIFETIME,
    isUsed: false,
  })
  const response = respondToClient(context, params, { code })
  return { ...response, headers: { ...response.headers, 'Set-Cookie': sessionCookie(context, session) } }
}

/** The first one that the client prefers, unless the user's claims say another. */
function acrOf({ acr }: TestUser, params: URLSearchParams): string | undefined {
  return typeof acr === 'string' ? acr : paramOf(params, 'acr_values')?.split(' ')[0]
}

/** Refuses to redirect to anything that the client has not registered (RFC 6749 4.1.2.1): the user gets a page. */
export function checkTarget(
  { setup }: TestContext,
  params: URLSearchParams,
): { readonly client: TestClient; readonly redirectUri: string } {
  const clientId = requiredParam(params, 'client_id')
  const redirectUri = requiredParam(params, 'redirect_uri')
  const client = setup.clients.find((one) => one.clientId === clientId)
  if (client === undefined)
    throw new Refusal('invalid_client', 'There is no client with this client_id. Check clientId.')
  if (isRegistered(redirectUri, client.redirectUris)) return { client, redirectUri }
  throw new Refusal(
    'invalid_request',
    client.redirectUris === undefined
      ? 'The client has no redirectUris, so its redirect_uri must be http on this machine, and without a fragment.'
      : 'The redirect_uri is not among the redirectUris of the client. They are compared character by character.',
  )
}

/** A user who signs in now. */
export function newSession(user: TestUser): UserSession {
  const authTime = typeof user['auth_time'] === 'number' ? user['auth_time'] : Math.floor(nowInSeconds())
  const sid = typeof user['sid'] === 'string' ? user['sid'] : randomValue()
  return { user, sid, authTime }
}

/** The user whom a name means: by `sub`, `preferred_username` or `email`. */
export function findUser(users: readonly TestUser[], name: string | undefined): TestUser | undefined {
  if (name === undefined) return undefined
  return users.find((user) => [user.sub, user['preferred_username'], user['email']].includes(name))
}

/** Sends the browser back, with a redirect or a form (OAuth 2.0 Form Post Response Mode 2). */
export function respondToClient(
  { issuer }: TestContext,
  params: URLSearchParams,
  answer: Readonly<Record<string, string>>,
): EndpointResponse {
  const state = params.get('state')
  const all = { ...answer, ...(state ? { state } : {}), iss: issuer }
  const redirectUri = requiredParam(params, 'redirect_uri')
  if (params.get('response_mode') === 'form_post') return { status: 200, html: formPost(redirectUri, all) }
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries(all)) url.searchParams.append(name, value)
  return { status: 303, headers: { Location: url.href } }
}

function formPost(action: string, fields: Readonly<Record<string, string>>): string {
  const inputs = Object.entries(fields).map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  const form = `<form method="post" action="${escapeHtml(action)}">${inputs.join('')}<button>Continue</button></form>`
  return page('Signing in', `${form}<script>document.forms[0].submit()</script>`)
}
