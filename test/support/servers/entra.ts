import type { Registration } from '../app/app.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../strict-provider/provider.ts'

/** The ids of two organisations, and of those who have an account of their own. */
export const TENANTS = {
  harbour: '6babcaad-604b-40ac-a9d7-9fd97c0b779f',
  lagoon: 'b3a1c0de-0000-4000-8000-00000000cafe',
  personal: '9188040d-6c67-4c5b-b112-36a304b66dad',
} as const

/** What a strict provider must be like to act as Entra ID. */
export const ENTRA: StrictProviderOptions = { issuerPath: '/common/v2.0', issParameter: 'absent', suiteKeys: true }

/** A provider with many tenants: one document and one key set for all, and an issuer of its own for each. */
export interface Entra extends Registration {
  /** With `{tenantid}` in it, as the metadata has it. */
  readonly issuer: string
  /** The tenant of who logs in. */
  tenant: string
  /** Who else is told by a key whose tokens it signs, by `kid`; absent: the tokens of all tenants. */
  readonly keyIssuers: Map<string, unknown>
  issuerOf(tenant: string): string
  /** Changes the claims of every ID Token, in the place of `idTokenClaims` of the provider. */
  changeClaims: (claims: JsonObject) => JsonObject
}

/**
 * Has a strict provider act as Entra ID, until its next reset: its metadata has a template for an issuer, its tokens have
 * `tid` and the issuer of that tenant, and each key says whose tokens it signs.
 */
export function actAsEntra(provider: StrictProvider): Entra {
  const { origin } = new URL(provider.issuer)
  const issuerOf = (tenant: string): string => `${origin}/${tenant}/v2.0`
  const { clientId, clientSecret, change } = provider
  const entra: Entra = {
    issuer: issuerOf('{tenantid}'),
    clientId,
    clientSecret,
    tenant: TENANTS.harbour,
    keyIssuers: new Map(),
    issuerOf,
    changeClaims: (claims) => claims,
  }
  const withTenant = (claims: JsonObject): JsonObject => {
    const { tenant: tid, changeClaims } = entra
    return changeClaims({ ...claims, iss: issuerOf(tid), tid, oid: `object-of-${String(claims['sub'])}`, ver: '2.0' })
  }
  change.discovery = (metadata) => ({ ...metadata, issuer: entra.issuer })
  change.jwks = ({ keys }) => ({ keys: asList(keys).map((key) => withIssuer(entra, key)) })
  Object.assign(change, {
    idTokenClaims: withTenant,
    frontIdTokenClaims: withTenant,
    refreshedIdTokenClaims: withTenant,
  })
  return entra
}

function withIssuer({ keyIssuers, issuer }: Entra, key: JsonObject): JsonObject {
  const kid = String(key['kid'])
  const own = keyIssuers.has(kid) ? keyIssuers.get(kid) : issuer
  return own === undefined ? key : { ...key, issuer: own }
}

function asList(keys: unknown): readonly JsonObject[] {
  return Array.isArray(keys) ? keys : []
}
