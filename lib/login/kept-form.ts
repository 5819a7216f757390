import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { OidcError } from '../errors.ts'
import {
  allowMethods,
  formOf,
  headerOf,
  isPrefetch,
  type Request,
  type Response,
  readForm,
  requestQuery,
  wantsPage,
} from '../http/request.ts'
import { isFromOwnPage } from '../http/request-origin.ts'
import { rejectPrefetch, SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { safeReturnTo, thisPage } from '../http/return-to.ts'
import type { RelyingParty } from '../relying-party.ts'
import { readLastLogin, readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession } from '../session/express-session.ts'
import { createKeptForms } from '../session/kept-forms.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Login } from '../types.ts'

/*
 * A form that a user posts after the login has expired:
 *
 * 1. The guard keeps the form (`keepForm`) and starts a login.
 * 2. The login returns to `routes.keptForm`.
 * 3. The page at this route posts the form again.
 *
 * Decision 22 in docs/decisions/ has the reason for each check.
 */

interface KeptForm {
  /** A path of this app, with its query. */
  readonly action: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** Who was logged in before, if that is known. The form belongs to this user. */
  readonly user?: { readonly iss: string; readonly sub: string }
  /** Seconds since 1970. */
  readonly keptAt: number
}

/**
 * The maximum size of the posted form, in bytes. Its compressed text must also fit into a cookie: see kept-forms.ts.
 */
const MAX_FORM_BYTES = 32 * 1024

/**
 * Keeps the form of this request. Returns the path of the page that posts it again, which is the `returnTo` of the
 * login. Returns `undefined`, and keeps nothing, unless a page of our own origin posted the form to a page of this
 * app. Throws `ERR_OIDC_FORM_NOT_KEPT`.
 */
export async function keepForm(rp: RelyingParty, req: Request, res: Response): Promise<string | undefined> {
  const { config } = rp
  // Accept only a path of this app. A server reads `//evil.example` as a path, but a browser reads it as another host.
  const action = safeReturnTo(thisPage(config, req), config)
  if (action === undefined || !isFromOwnPage(req, config.origin)) return undefined
  const fields = [...(await readFields(req))]
  const user = userOf(readLastLogin(req, config))
  const form: KeptForm = { action, fields, keptAt: nowInSeconds(), ...(user === undefined ? {} : { user }) }
  const id = createKeptForms(config).keep(req, res, compress(JSON.stringify(form)))
  if (id === undefined) throw tooLarge()
  return `${config.basePath}${config.routes.keptForm}?id=${id}`
}

async function readFields(req: Request): Promise<URLSearchParams> {
  const type = headerOf(req, 'content-type') ?? ''
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type)) throw notUrlencoded()
  if (Number(headerOf(req, 'content-length') ?? 0) > MAX_FORM_BYTES) throw tooLarge()
  const { readableDidRead: isRead, body } = req
  const isParsed = isRead && typeof body === 'object' && body !== null && !Buffer.isBuffer(body)
  try {
    return isParsed
      ? formOf(Object.entries(body).flatMap(([name, value]) => sentFields(name, value)))
      : await readForm(req)
  } catch (cause) {
    throw new OidcError(
      'ERR_OIDC_FORM_NOT_KEPT',
      'The posted form cannot be read, so keepForm() cannot keep it. The cause has the reason.',
      { cause },
    )
  }
}

/**
 * The fields that the browser sent for a value that a body parser has read. `express.urlencoded({ extended: true })` reads
 * `a[b]=1` as an object and `a[]=1` as a list of one, which `a=1` would not give again.
 */
function sentFields(name: string, value: unknown): readonly (readonly [name: string, value: unknown])[] {
  if (typeof value !== 'object' || value === null) return [[name, value]]
  const isListOfTexts = Array.isArray(value) && value.every((one) => typeof one === 'string')
  if (isListOfTexts) return [[value.length === 1 ? `${name}[]` : name, value]]
  return Object.entries(value).flatMap(([key, one]) => sentFields(`${name}[${key}]`, one))
}

function notUrlencoded(): OidcError {
  return new OidcError(
    'ERR_OIDC_FORM_NOT_KEPT',
    "The posted form is not of the type 'application/x-www-form-urlencoded', so keepForm() does not keep it. Files " +
      "(enctype 'multipart/form-data') are never kept: have the user log in before the page with the form.",
    { status: 415 },
  )
}

function tooLarge(): OidcError {
  return new OidcError(
    'ERR_OIDC_FORM_NOT_KEPT',
    'The posted form is too large for keepForm(), which keeps it in a cookie. Have the user log in before the page with the form.',
    { status: 413 },
  )
}

/**
 * `GET` at `routes.keptForm`: sends a page that posts the form again. It does so only once, right after the login
 * that the form waited for, in the same browser and for the same user. Throws `ERR_OIDC_FORM_GONE`.
 */
export async function keptFormRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  if (isPrefetch(req)) return rejectPrefetch(res)
  const { config } = rp
  const forms = createKeptForms(config)
  const sessionReq = requireSession(req)
  const [login, tokensId = ''] = [readLogin(req, config), readTokensId(sessionReq, config)]
  const query = requestQuery(req)
  const [id, ticket] = [query.get('id') ?? '', query.get('login') ?? '']
  // Check the ticket before taking the form: a link of another site must not delete the form or show it in a frame.
  if (login === undefined || !wantsPage(req) || !forms.isTicketFor(ticket, id, tokensId)) throw formGone()
  const form = parseForm(forms.take(req, res, id))
  if (form === undefined || !belongsToUser(login, form) || !isRecent(form, config.transactionLifetime)) throw formGone()
  // The form must not be posted twice, even if the browser restores its cookies or they were copied.
  if (!(await rp.sharedStateOf(sessionReq.sessionStore).once(`form:${id}`, config.transactionLifetime)))
    throw formGone()
  const notice =
    '<noscript><p>You are signed in. One more step to send your form.</p></noscript><button>Continue</button>'
  const { action, fields } = form
  sendFormPage(res, action, {
    title: 'Sending your form',
    fields,
    script: SUBMIT_FORM_SCRIPT,
    notice,
    isOwnAction: true,
  })
}

function belongsToUser({ claims }: Login, { user }: KeptForm): boolean {
  return user === undefined || (user.iss === claims.iss && user.sub === claims.sub)
}

function isRecent({ keptAt }: KeptForm, maxAge: number): boolean {
  return nowInSeconds() <= keptAt + maxAge
}

function userOf(login: Login | undefined): KeptForm['user'] {
  return login && { iss: login.claims.iss, sub: login.claims.sub }
}

function formGone(): OidcError {
  return new OidcError(
    'ERR_OIDC_FORM_GONE',
    'There is no kept form for this login in this browser: it was sent already, another user has logged in, or ' +
      'transactionLifetime is over. Send the form again from its page.',
  )
}

function compress(text: string): string {
  return deflateRawSync(text).toString('base64url')
}

/** Does not validate the JSON: the cookie was encrypted, so only we can have written it. */
function parseForm(compressed: string | undefined): KeptForm | undefined {
  if (compressed === undefined) return undefined
  return JSON.parse(inflateRawSync(Buffer.from(compressed, 'base64url'), { maxOutputLength: 1024 * 1024 }).toString())
}
