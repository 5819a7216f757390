import type { ServerResponse } from 'node:http'
import { sendOktaPage } from './answers.ts'
import { answerAsked, sendAnswer } from './authorization-answer.ts'
import { type Asked, findRefusal, type Refusal, readAsked } from './authorization-request.ts'
import { nowInSeconds, type OktaContext, type OktaRequest, type OktaSession } from './context.ts'
import { findSession, startSession } from './session.ts'

/** Answers as whoever is at the browser makes it. Not for scripts and frames of others: no CORS, `X-Frame-Options`. */
export async function answerAuthorize(context: OktaContext, request: OktaRequest, res: ServerResponse): Promise<void> {
  res.setHeader('X-Frame-Options', 'SAMEORIGIN')
  const asked = readAsked(context, request)
  if (typeof asked === 'string') {
    sendOktaPage(res, 400, asked)
    return
  }
  const refusal = findRefusal(context, request, asked)
  if (refusal !== undefined) {
    sendRefusal(context, asked, refusal, res)
    return
  }
  const session = findLogin(context, request, asked)
  if (session === 'page') sendOktaPage(res, 200, 'Sign in')
  else if ('error' in session) sendRefusal(context, asked, session.error, res)
  else await answerAsked(context, request, asked, session, res)
}

function sendRefusal(context: OktaContext, asked: Asked, [error, text]: Refusal, res: ServerResponse): void {
  sendAnswer(context, asked, new URLSearchParams({ error, error_description: text }), res)
}

/** The session of who is at the browser, an error for the application, or a page that asks who it is. */
function findLogin(
  context: OktaContext,
  request: OktaRequest,
  { params, client }: Asked,
): OktaSession | 'page' | { readonly error: Refusal } {
  const byToken = params.get('sessionToken')
  if (byToken !== null) {
    const person = context.sessionTokens.get(byToken)
    // It can be used once: after that it is as good as none.
    context.sessionTokens.delete(byToken)
    return person === undefined ? 'page' : startSession(context, person)
  }
  const session = findSession(context, request)
  const prompt = params.get('prompt')
  const isGood = session !== undefined && prompt !== 'login' && !isTooOld(context, session, params.get('max_age'))
  const needsConsent = client.consent_method === 'REQUIRED' && !context.consents.has(client.client_id)
  if (prompt === 'none') {
    if (!isGood)
      return { error: ['login_required', 'The client specified not to prompt, but the user is not logged in.'] }
    if (needsConsent)
      return { error: ['consent_required', 'The client specified not to prompt, but consent is needed.'] }
    return session
  }
  if (isGood && !needsConsent) return session
  if (context.signIn === 'waits') return 'page'
  if (context.signIn === 'cancels') return { error: ['access_denied', 'User canceled request.'] }
  context.consents.add(client.client_id)
  return isGood ? session : startSession(context, context.person)
}

/** Classic Engine does not take 0 for an answer: the session goes on. */
function isTooOld({ engine }: OktaContext, { authTime }: OktaSession, maxAge: string | null): boolean {
  if (maxAge === null || (engine === 'classic' && maxAge === '0')) return false
  return nowInSeconds() - authTime >= Number(maxAge)
}
