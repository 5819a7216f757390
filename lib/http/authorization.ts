import { OidcError } from '../errors.ts'
import { headerOf, type Request, requestQuery } from './request.ts'

/** The access token of a request, and the scheme that it was sent with. */
export interface Credentials {
  readonly scheme: 'Bearer' | 'DPoP'
  readonly token: string
}

/** RFC 9110 11.4: a scheme, spaces, and one token68. */
const AUTHORIZATION = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i

/**
 * Reads the access token from the header `Authorization` (RFC 6750 2.1, RFC 9449 7.1). Returns `undefined` if the request has
 * none, or has credentials of another scheme. Throws `ERR_OIDC_ACCESS_TOKEN_REQUEST` for two headers, for a token in the
 * query or in a posted form, and for a header that is malformed: such a request must not pass as one without a token.
 */
export function readCredentials(req: Request): Credentials | undefined {
  // Node keeps only the first of several headers, but a proxy in front may have looked at the last.
  if (countHeaders(req, 'authorization') > 1) throw invalidRequest('has more than one Authorization header. Send one.')
  if (hasTokenInQuery(req)) throw invalidRequest(`has an access token in its query. ${ADVICE}`)
  if (hasTokenInForm(req)) throw invalidRequest(`has an access token in its body. ${ADVICE}`)
  const header = headerOf(req, 'authorization')
  if (header === undefined) return undefined
  const [, scheme = '', token = ''] = AUTHORIZATION.exec(header) ?? []
  if (token !== '') return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
  if (!/^(?:Bearer|DPoP)(?:\s|,|$)/i.test(header)) return undefined
  throw invalidRequest(`has an Authorization header without exactly one access token. ${ADVICE}`)
}

const ADVICE = 'Send it as Authorization: Bearer, followed by the token.'

/** RFC 6750 2.3: URLs stay in logs and browser histories. */
function hasTokenInQuery(req: Request): boolean {
  return req.url?.includes('?') === true && [...requestQuery(req).keys()].some(isTokenParameter)
}

/** RFC 6750 2.2. Only a form that a body parser has read already: nobody reads a token from the body after this. */
function hasTokenInForm({ headers, body }: Request): boolean {
  if (typeof body !== 'object' || body === null) return false
  const isForm = /^application\/x-www-form-urlencoded\b|^multipart\/form-data\b/i.test(headers['content-type'] ?? '')
  return isForm && Object.keys(body).some(isTokenParameter)
}

/** Query parsers read `access_token[]` and `access_token[0]` as the same parameter. */
function isTokenParameter(name: string): boolean {
  return name === 'access_token' || name.startsWith('access_token[')
}

/** How many headers of this name the request had. Node joins most of them, and drops some. */
export function countHeaders({ rawHeaders }: Request, name: string): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const given = rawHeaders[index]
    if (given?.length === name.length && given.toLowerCase() === name) count += 1
  }
  return count
}

function invalidRequest(problem: string): OidcError {
  return new OidcError('ERR_OIDC_ACCESS_TOKEN_REQUEST', `The request ${problem}`)
}
