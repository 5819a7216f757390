import type { HttpRequest } from './http-transport.ts'

/** The fields of a form that are secrets, or that name a user. */
const SECRET_FIELDS: readonly string[] = [
  ...['client_secret', 'client_assertion', 'code', 'code_verifier', 'refresh_token', 'access_token', 'token'],
  ...['subject_token', 'actor_token', 'assertion', 'device_code', 'password'],
  ...['state', 'nonce', 'request', 'id_token_hint', 'login_hint'],
]

/** The secrets in a request, in the forms that a provider may repeat in its error. */
export function secretsIn({ headers = {}, body = '' }: HttpRequest): readonly string[] {
  const { authorization = '', dpop = '', 'content-type': type } = headers
  const fields = new URLSearchParams(type === 'application/x-www-form-urlencoded' ? body : '')
  return [
    ...SECRET_FIELDS.flatMap((name) => fields.getAll(name)),
    ...credentialsIn(authorization),
    ...(dpop === '' ? [] : [dpop]),
  ]
}

/** `Bearer` and `DPoP` carry a token, `Basic` the form-encoded secret behind the client id (RFC 6749 2.3.1). */
function credentialsIn(authorization: string): readonly string[] {
  const [scheme, credentials = ''] = authorization.split(' ')
  if (scheme !== 'Basic') return [credentials]
  const [, encoded = ''] = /:(.*)$/s.exec(Buffer.from(credentials, 'base64').toString()) ?? []
  return [credentials, encoded, new URLSearchParams(`secret=${encoded}`).get('secret') ?? '']
}

/**
 * Hides secrets in a text of a provider: those that it was sent, which some providers repeat in their errors, in each form that
 * a request has, and everything that looks like a JWT. Takes time in proportion to the text, because anyone can send one.
 */
export function concealSecrets(text: string, secrets: Iterable<string | undefined>): string {
  const forms = [...secrets].flatMap((secret = '') => [secret, percentEncoded(secret), formEncoded(secret)])
  // Of two secrets, the longer one may contain the other. A text of three characters is found in any error.
  const longestFirst = forms.filter(({ length }) => length > 3).sort((one, other) => other.length - one.length)
  const withoutTokens = text.replace(/[\w.-]+/g, concealToken)
  return longestFirst.reduce((rest, secret) => rest.replaceAll(secret, CONCEALED), withoutTokens)
}

/** A JWS or JWE in compact form begins with an object in base64url. Looks at one place only, to be linear. */
function concealToken(word: string): string {
  const start = word.indexOf('eyJ')
  const isToken = start >= 0 && /^eyJ[\w-]{8,}\./.test(word.slice(start))
  return isToken ? word.slice(0, start) + CONCEALED : word
}

const CONCEALED = '********'

/** Half of a surrogate pair has no encoding, and would throw. */
function percentEncoded(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString())
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}
