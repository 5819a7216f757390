import { randomBytes } from 'node:crypto'
import { CompactEncrypt, SignJWT, UnsecuredJWT } from 'jose'
import { ConfigError, ProviderError } from '../errors.ts'
import { usesClientSecret } from '../jose/algorithms.ts'
import { encryptionKeyOfSecret } from '../jose/jwe.ts'
import { defaultSigningAlg, findSigner, readSecretKey } from '../provider/client-signing.ts'
import type { EncryptionKey } from '../provider/keys.ts'
import type { Provider } from '../provider/provider.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'

/** The parameters of an authorization request, by their wire names. */
export type RequestParams = Readonly<Record<string, Json>>

/** The lifetime of a request object, in seconds. */
const LIFETIME = 300

/** RFC 9101 4: no request inside a request. RFC 9101 10.8: with a `sub` it could pass for a client assertion. */
const EXCLUDED_PARAMS: ReadonlySet<string> = new Set([
  ...['request', 'request_uri', 'sub'],
  ...['client_secret', 'client_assertion', 'client_assertion_type'],
])

/** Parameters whose text is JSON. As claims they are the JSON itself (OIDC Core 6.1, RFC 9396 6). */
const JSON_PARAMS: ReadonlySet<string> = new Set(['claims', 'authorization_details'])

/**
 * Creates the authorization request as a JWT of the client (RFC 9101 4, OIDC Core 6.1): signed with
 * `requestObjectSigningAlg`, then encrypted if `requestObjectEncryptionAlg` is set. It has its own `jti`, expires after five
 * minutes, and is for this provider only (FAPI 2.0 Message Signing 5.3.1).
 *
 * Throws `ERR_OIDC_CONFIG` and `ERR_OIDC_CLIENT_SECRET` if the key or secret is missing, `ERR_OIDC_KEYS_INVALID` if the provider
 * publishes no key to encrypt with, and the errors of fetching its keys.
 *
 * @param params The parameters of a plain request. `request`, `request_uri` and credentials are left out.
 */
export async function createRequestObject(provider: Provider, params: RequestParams): Promise<string> {
  const { requestObjectSigningAlg, requestObjectEncryptionAlg } = provider.config
  const claims = claimsOf(provider, params)
  const signed =
    // OIDC Core 6.1. Only the option decides this, never the metadata of the provider.
    requestObjectSigningAlg === 'none' ? new UnsecuredJWT(claims).encode() : await sign(provider, claims)
  return requestObjectEncryptionAlg === undefined ? signed : await encrypt(provider, signed, requestObjectEncryptionAlg)
}

function claimsOf({ config }: Provider, params: RequestParams): Record<string, Json> {
  const now = Math.floor(nowInSeconds())
  const members = Object.entries(params).filter(([name]) => !EXCLUDED_PARAMS.has(name))
  return {
    ...Object.fromEntries(members.map(([name, value]) => [name, claimOf(name, value)])),
    client_id: config.clientId,
    iss: config.clientId,
    aud: config.issuer,
    iat: now,
    nbf: now,
    exp: now + LIFETIME,
    jti: randomBytes(24).toString('base64url'),
  }
}

/** RFC 9101 4: numbers and JSON keep their type. */
function claimOf(name: string, value: Json): Json {
  if (name === 'max_age') return Number(value)
  if (typeof value !== 'string' || !JSON_PARAMS.has(name)) return value
  try {
    return JSON.parse(value)
  } catch {
    throw new ConfigError([`authorizationParams.${name} must be valid JSON.`])
  }
}

async function sign(provider: Provider, claims: Record<string, Json>): Promise<string> {
  const { requestObjectSigningAlg: configured } = provider.config
  const supported = provider.metadata['request_object_signing_alg_values_supported']
  const { alg, key, kid } = await findSigner(provider, configured ?? defaultSigningAlg(provider, supported))
  return await new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'oauth-authz-req+jwt', ...(kid === undefined ? {} : { kid }) })
    .sign(key)
}

/** RFC 7519 5.2: `cty` says that the content is a JWT. */
async function encrypt(provider: Provider, jwt: string, alg: string): Promise<string> {
  const { requestObjectEncryptionEnc: enc } = provider.config
  const { key, kid } = await findEncryptionKey(provider, alg, enc)
  return await new CompactEncrypt(Buffer.from(jwt))
    .setProtectedHeader({ alg, enc, cty: 'JWT', ...(kid === undefined ? {} : { kid }) })
    .encrypt(key)
}

/** OIDC Core 10.2: a key that the provider publishes, or one derived from the client secret. */
async function findEncryptionKey({ config, keys }: Provider, alg: string, enc: string): Promise<EncryptionKey> {
  if (usesClientSecret(alg)) {
    const key = encryptionKeyOfSecret((await readSecretKey(config)) ?? '', alg, enc)
    if (key !== undefined) return { key, kid: undefined }
    throw new ConfigError([`requestObjectEncryptionAlg is '${alg}', which needs a clientSecret.`])
  }
  const found = await keys.encryptionKeyFor(alg)
  if (found !== undefined) return found
  throw new ProviderError(
    'ERR_OIDC_KEYS_INVALID',
    `${keys.jwksUri} has no key to encrypt with ${alg} (option requestObjectEncryptionAlg).`,
  )
}
