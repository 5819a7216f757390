import { randomBytes } from 'node:crypto'
import { CompactEncrypt, SignJWT, UnsecuredJWT } from 'jose'
import { ConfigError, ProviderError } from '../errors.ts'
import { findKeyManagement } from '../jose/algorithms.ts'
import { encryptionKeyOfSecret } from '../jose/jwe.ts'
import { defaultSigningAlg, findSigner, readSecretKey } from '../provider/client-signing.ts'
import type { EncryptionKey } from '../provider/keys.ts'
import type { Provider } from '../provider/provider.ts'
import type { Json } from '../types.ts'

/** The parameters of an authorization request, by their wire names. */
export type RequestParams = Readonly<Record<string, Json>>

/** For how long a request can be shown, in seconds. */
const LIFE = 300

/** RFC 9101 4: a request holds no other. RFC 9101 10.8: with a `sub` it could pass for an assertion of the client. */
const EXCLUDED_PARAMS: ReadonlySet<string> = new Set([
  ...['request', 'request_uri', 'sub'],
  ...['client_secret', 'client_assertion', 'client_assertion_type'],
])

/** Parameters whose text is JSON: inside, they are what the JSON says (OIDC Core 6.1, RFC 9396 6). */
const JSON_PARAMS: ReadonlySet<string> = new Set(['claims', 'authorization_details'])

/**
 * The authorization request as one JWT of the client (RFC 9101 4, OIDC Core 6.1): signed by `requestObjectSigningAlg`, then
 * encrypted where `requestObjectEncryptionAlg` is given. With a `jti` of its own, for five minutes, and for this provider
 * alone (FAPI 2.0 Message Signing 5.3.1).
 *
 * Throws `ERR_OIDC_CONFIG` and `ERR_OIDC_CLIENT_SECRET` where there is nothing to do it with, `ERR_OIDC_KEYS_INVALID` where the
 * provider publishes no key to encrypt with, and the codes of fetching its keys.
 *
 * @param params What a plain request would have. `request`, `request_uri` and credentials are left out.
 */
export async function createRequestObject(provider: Provider, params: RequestParams): Promise<string> {
  const { requestObjectSigningAlg, requestObjectEncryptionAlg } = provider.config
  const claims = claimsOf(provider, params)
  const signed =
    // OIDC Core 6.1. Nothing but the option makes it so: what a provider says it takes has no part in it.
    requestObjectSigningAlg === 'none' ? new UnsecuredJWT(claims).encode() : await sign(provider, claims)
  return requestObjectEncryptionAlg === undefined ? signed : await encrypt(provider, signed, requestObjectEncryptionAlg)
}

function claimsOf({ config }: Provider, params: RequestParams): Record<string, Json> {
  const now = Math.floor(Date.now() / 1000)
  const members = Object.entries(params).filter(([name]) => !EXCLUDED_PARAMS.has(name))
  return {
    ...Object.fromEntries(members.map(([name, value]) => [name, claimOf(name, value)])),
    client_id: config.clientId,
    iss: config.clientId,
    aud: config.issuer,
    iat: now,
    nbf: now,
    exp: now + LIFE,
    jti: randomBytes(24).toString('base64url'),
  }
}

/** RFC 9101 4: numbers are numbers, and JSON is JSON. */
function claimOf(name: string, value: Json): Json {
  if (name === 'max_age') return Number(value)
  if (typeof value !== 'string' || !JSON_PARAMS.has(name)) return value
  try {
    return JSON.parse(value)
  } catch {
    throw new ConfigError([`authorizationParams.${name} must be JSON.`])
  }
}

async function sign(provider: Provider, claims: Record<string, Json>): Promise<string> {
  const { requestObjectSigningAlg: told } = provider.config
  const supported = provider.metadata['request_object_signing_alg_values_supported']
  const { alg, key, kid } = await findSigner(provider, told ?? defaultSigningAlg(provider, supported))
  return await new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'oauth-authz-req+jwt', ...(kid === undefined ? {} : { kid }) })
    .sign(key)
}

/** RFC 7519 5.2: `cty` says that there is a JWT inside. */
async function encrypt(provider: Provider, jwt: string, alg: string): Promise<string> {
  const { requestObjectEncryptionEnc: enc } = provider.config
  const { key, kid } = await findEncryptionKey(provider, alg, enc)
  return await new CompactEncrypt(Buffer.from(jwt))
    .setProtectedHeader({ alg, enc, cty: 'JWT', ...(kid === undefined ? {} : { kid }) })
    .encrypt(key)
}

/** OIDC Core 10.2: a key that the provider publishes, or one made of the client secret. */
async function findEncryptionKey({ config, keys }: Provider, alg: string, enc: string): Promise<EncryptionKey> {
  if (findKeyManagement(alg)?.kty === 'oct') {
    const key = encryptionKeyOfSecret((await readSecretKey(config)) ?? '', alg, enc)
    if (key !== undefined) return { key, kid: undefined }
    throw new ConfigError([`requestObjectEncryptionAlg ${alg} needs a clientSecret.`])
  }
  const found = await keys.encryptionKeyFor(alg)
  if (found !== undefined) return found
  throw new ProviderError('ERR_OIDC_KEYS_INVALID', `The provider publishes no key to encrypt requests with by ${alg}.`)
}
