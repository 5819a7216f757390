import type { Config } from '../config/config.ts'
import { OidcError, ProviderError } from '../errors.ts'
import { type HttpAnswer, jsonOf } from '../http-client/http-answer.ts'
import { isOfIssuer } from '../issuer.ts'
import { decryptToken } from '../jose/jwe.ts'
import { type SignatureExpectations, verifyJws } from '../jose/jws.ts'
import type { KeyStore } from '../jose/key-store.ts'
import { faultsOf } from '../jose/token-kind.ts'
import { type JsonObject, parseJsonObject } from '../json-object.ts'
import type { Provider } from './provider.ts'
import { expectationsOf } from './token-expectations.ts'

/** Whether UserInfo was registered to come as a JWT. */
export function isUserInfoJwt(
  config: Pick<Config, 'userinfoSignedResponseAlg' | 'userinfoEncryptedResponseAlg'>,
): boolean {
  return (config.userinfoSignedResponseAlg ?? config.userinfoEncryptedResponseAlg) !== undefined
}

/**
 * The claims of a UserInfo response (OIDC Core 5.3.2): plain JSON, or as it was registered signed, encrypted, or both, and
 * then in no other form. Throws `ERR_OIDC_USERINFO` and the codes `ERR_OIDC_USERINFO_JWT_...`.
 */
export async function readUserInfoAnswer(provider: Provider, answer: HttpAnswer): Promise<JsonObject> {
  if (isUserInfoJwt(provider.config)) return await readJwt(provider, answer)
  const userinfo = jsonOf(answer)
  if (userinfo === undefined) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo did not answer a JSON object.')
  return userinfo
}

async function readJwt(provider: Provider, answer: HttpAnswer): Promise<JsonObject> {
  const isJwt = /^application\/jwt *(;|$)/i.test(answer.headers.get('content-type') ?? '')
  if (!isJwt) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo did not answer a JWT, as was registered.')
  const token = Buffer.from(answer.body).toString('latin1').trim()
  const expected = await expectationsOf(provider, 'USERINFO_JWT')
  const { userinfoSignedResponseAlg: alg } = provider.config
  const claims = alg === undefined ? await decrypt(token, expected) : await verify(token, provider.keys, expected)
  checkClaims(claims, provider.config)
  return claims
}

async function verify(token: string, keys: KeyStore, expected: SignatureExpectations): Promise<JsonObject> {
  const { claims } = await verifyJws('USERINFO_JWT', token, keys, expected)
  return claims
}

/** Encrypted alone: what is inside is as good as the connection that it came by. */
async function decrypt(token: string, { encryption, clientSecret }: SignatureExpectations): Promise<JsonObject> {
  const fault = faultsOf('USERINFO_JWT')
  if (encryption === undefined) throw fault('ENCRYPTED', 'is encrypted, which was not asked for.')
  const plaintext = await decryptToken(token, encryption, clientSecret, fault)
  const claims = parseJsonObject(Buffer.from(plaintext, 'latin1'))
  if (claims === undefined) throw fault('MALFORMED', 'has claims that are not a JSON object.')
  return claims
}

/** OIDC Core 5.3.2, RFC 7519 4.1: issuer and audience should be there, an end need not. What is there must be right. */
function checkClaims(claims: JsonObject, { issuer, clientId, clockTolerance }: Config): void {
  const { iss, aud, exp } = claims
  if (iss !== undefined && !isOfIssuer(issuer, claims)) throw fault('ISSUER', 'is of another issuer.')
  if (aud !== undefined && ![aud].flat().includes(clientId)) throw fault('AUDIENCE', 'is for another client.')
  const isOver = exp !== undefined && !(typeof exp === 'number' && Date.now() / 1000 < exp + clockTolerance)
  if (isOver) throw new ProviderError('ERR_OIDC_USERINFO', 'UserInfo is a JWT that has expired.')
}

function fault(name: 'ISSUER' | 'AUDIENCE', message: string): OidcError {
  return new OidcError(`ERR_OIDC_USERINFO_JWT_${name}`, `The UserInfo response ${message}`)
}
