import type { OidcError } from '../errors.ts'
import type { JsonObject } from '../jose/json.ts'
import type { BearerConfig, BearerIssuerConfig } from '../options/bearer-config.ts'
import { isAllowedTenant, TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { type AccessTokenGrant, checkAccessToken, readGrant } from '../protocol/access-token-claims.ts'
import {
  accessTokenError,
  checkTokenLength,
  keyHintOf,
  type ParsedAccessToken,
  parseAccessToken,
  verifyAccessTokenSignature,
} from '../protocol/jwt-access-token.ts'
import { createTokenMemory, type SignedToken } from './token-memory.ts'
import { createTrustedIssuers, type TrustedIssuer } from './trusted-issuers.ts'

/** Verifies the access tokens of one `bearer()` call. */
export interface TokenVerifier {
  /**
   * Verifies a token completely, but not whether its sender may use it. Rejects with `ERR_OIDC_ACCESS_TOKEN_…`, and with the
   * errors of fetching metadata and keys.
   */
  verify(token: string): Promise<AccessTokenGrant>
  /** Loads the metadata and keys of the issuers that are known. */
  load(): Promise<void>
}

export function createTokenVerifier(config: BearerConfig): TokenVerifier {
  const issuers = createTrustedIssuers(config)
  const memory = createTokenMemory(config.tokenCacheSize)
  const headers = new Map<string, JsonObject>()

  /** A token that is no JWT names no issuer, so only one issuer may be asked about such tokens. */
  const issuerOfOpaque = issuers.known.find(({ introspect }) => introspect !== undefined)

  async function verify(token: string): Promise<AccessTokenGrant> {
    checkTokenLength(token)
    const remembered = memory.find(token)
    if (remembered !== undefined) {
      const issuer = await issuers.find(remembered.grant.claims)
      if (issuer !== undefined && (await isStillSigned(remembered, issuer)))
        return await check(token, remembered, issuer)
      memory.remove(token)
    }
    if (issuerOfOpaque?.introspect === undefined || isJwt(token)) return await verifyJwt(token)
    return await checkTenant(issuerOfOpaque, await issuerOfOpaque.introspect(token))
  }

  async function verifyJwt(token: string): Promise<AccessTokenGrant> {
    const parsed = parseAccessToken(token, headers)
    // Only the choice of the issuer depends on claims before the signature is verified.
    const issuer = await issuers.find(parsed.claims)
    if (issuer === undefined) throw unknownIssuer()
    if (issuer.introspect !== undefined && issuer.config.introspection?.tokens === 'all') {
      return await checkTenant(issuer, await issuer.introspect(token))
    }
    const signed = await verifySignature(parsed, issuer)
    const grant = await check(token, signed, issuer)
    memory.add(token, signed)
    // Only of tokens that are right: nobody else can fill it.
    if (headers.size < MAX_HEADERS) headers.set(token.slice(0, token.indexOf('.')), parsed.jws.header)
    return grant
  }

  /** At each request, because tokens expire. */
  async function check(token: string, { grant, isTyped }: SignedToken, issuer: TrustedIssuer) {
    try {
      checkAccessToken({ claims: grant.claims, isTyped }, issuer.config)
      return await checkTenant(issuer, grant)
    } catch (error) {
      memory.remove(token)
      throw error
    }
  }

  return {
    verify,
    async load() {
      await Promise.all(issuers.known.map(loadIssuer))
    },
  }
}

/** True for text with the form of a signed JWT, which is never introspected in place of a verification. */
function isJwt(token: string): boolean {
  return /^eyJ[^.]*\.[^.]*\.[^.]*$/.test(token)
}

/** An issuer has one header for each of its keys. */
const MAX_HEADERS = 100

async function verifySignature(parsed: ParsedAccessToken, { findServer, config }: TrustedIssuer): Promise<SignedToken> {
  const { keys } = await findServer()
  if (keys === undefined) throw accessTokenError('KEY', { message: NO_KEYS })
  const key = await verifyAccessTokenSignature(parsed, keys, config)
  const { claims, isTyped } = parsed
  return { grant: readGrant(claims), isTyped, findServer, key, hint: keyHintOf(parsed, config) }
}

const NO_KEYS = 'is a JWT, but the metadata of its issuer has no jwks_uri. Check the option issuer.'

function unknownIssuer(): OidcError {
  return accessTokenError('ISSUER', {
    message: 'has an issuer (iss) that is not among the option issuer or issuers. A slash at the end counts.',
  })
}

/** True while the key set of the issuer has the key: a token must not outlive a key that the issuer has withdrawn. */
async function isStillSigned({ findServer, key, hint }: SignedToken, issuer: TrustedIssuer): Promise<boolean> {
  if (issuer.findServer !== findServer) return false
  const { keys } = await findServer()
  return keys !== undefined && (await keys.keysFor(hint)).includes(key)
}

/**
 * An issuer with many tenants signs the tokens of all of them, and answers about all of them. Throws
 * `ERR_OIDC_ACCESS_TOKEN_ISSUER`. A promise only for such an issuer.
 */
function checkTenant({ config }: TrustedIssuer, grant: AccessTokenGrant): AccessTokenGrant | Promise<AccessTokenGrant> {
  return config.issuer.includes(TENANT_PLACEHOLDER) ? checkTid(config.tenants, grant) : grant
}

async function checkTid(tenants: BearerIssuerConfig['tenants'], grant: AccessTokenGrant): Promise<AccessTokenGrant> {
  if (await isAllowedTenant(tenants, grant.claims['tid'])) return grant
  throw accessTokenError('ISSUER', { message: 'is of a tenant (tid) that the option tenants does not allow.' })
}

async function loadIssuer({ findServer, config: { algorithms } }: TrustedIssuer): Promise<void> {
  const { keys } = await findServer()
  await Promise.all(algorithms.map((alg) => keys?.keysFor({ alg })))
}
