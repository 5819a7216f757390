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
