import { escapeHtml } from '../http/response.ts'
import { completeLogin, findUser, newSession, respondToClient } from './authorization-answer.ts'
import {
  type EndpointRequest,
  type EndpointResponse,
  page,
  paramOf,
  Refusal,
  requiredParam,
} from './endpoint-server.ts'
import { randomValue, type TestContext } from './test-records.ts'

/** The page where the user says who they are. It keeps the authorization request for the form that comes back. */
export function showSignInPage({ setup, records }: TestContext, params: URLSearchParams): EndpointResponse {
  const id = randomValue()
  records.signIns.set(id, params)
  return { status: 200, html: signInPage(id, setup, paramOf(params, 'login_hint')) }
}

/** Receives the form of that page. */
export function signIn({ setup, records, ...rest }: TestContext, { params }: EndpointRequest): EndpointResponse {
  const context = { setup, records, ...rest }
  const id = requiredParam(params, 'request')
  const request = records.signIns.get(id)
  if (request === undefined) throw new Refusal('invalid_request', 'This sign-in page was used already. Log in again.')
  if (params.has('cancel')) {
    records.signIns.delete(id)
    return respondToClient(context, request, { error: 'access_denied', error_description: 'The user has cancelled.' })
  }
  const name = paramOf(params, 'username')
  const user = findUser(setup.users, name)
  if (user === undefined) {
    return { status: 200, html: signInPage(id, setup, name, 'There is no such user.') }
  }
  records.signIns.delete(id)
  return completeLogin(context, request, newSession(user))
}

/** The most users that the page names. */
const MOST_NAMES = 10

/** Any password will do: it is there for tests that fill in the form as users do. */
function signInPage(id: string, { users }: TestContext['setup'], username = '', problem?: string): string {
  const names = users.slice(0, MOST_NAMES).map(({ sub }) => sub)
  const all = [...names, ...(users.length > MOST_NAMES ? ['and more'] : [])].join(', ')
  const notice = problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`
  return page(
    'Sign in',
    `<p>This provider is for development and tests. Users: ${escapeHtml(all)}. Any password works.</p>
${notice}<form method="post" action="/sign-in"><input type="hidden" name="request" value="${id}">
<p><label>Username <input name="username" autocomplete="username" value="${escapeHtml(username)}" autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button>Sign in</button> <button name="cancel" value="1">Cancel</button></p></form>`,
  )
}
