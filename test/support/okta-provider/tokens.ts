import { randomBytes } from 'node:crypto'
import { createSigningKeys, type SigningKey, type SigningKeys, signJws, tokenHash } from '../app/signing-keys.ts'
import { issuerAt, nowInSeconds, type OktaContext, type OktaGrant, serverOf } from './context.ts'
import { type JsonObject, type OktaClient, ORGANISATION_ID } from './directory.ts'
import { issuerOrigin } from './metadata.ts'

/** What an ID Token goes with. */
export interface OktaBinding {
  readonly accessToken?: string | undefined
  readonly code?: string | undefined
  /** A refreshed one has no nonce of its own. */
  readonly nonce?: string | undefined
}

/** Always 60 minutes, whatever the access token's life. */
const ID_TOKEN_LIFETIME = 3600
/** What a thin token of the organisation's server has. */
const THIN = ['email', 'name', 'preferred_username']

let unpublished: SigningKeys | undefined

/**
 * Fat where it comes alone, thin where an access token goes with it: then a custom server adds the claims that are marked
 * so. The header has `kid` and `alg` and nothing else.
 */
export function issueOktaIdToken(context: OktaContext, grant: OktaGrant, binding: OktaBinding): string {
  const client = clientOf(context, grant)
  const { keys } = serverOf(context, grant)
  const key = (client.pinned_keys ?? keys)[0]
  if (key === undefined) throw new Error('the server has no keys')
  const claims = idTokenClaims(context, grant, client, binding)
  const header = { kid: key.kid, alg: 'RS256' }
  const jwt = signJws(
    'RS256',
    key.privateKey,
    context.change.idTokenHeader?.(header) ?? header,
    context.change.idTokenClaims?.(claims) ?? claims,
  )
  context.idTokens.set(jwt, grant)
  return jwt
}

export function clientOf(context: OktaContext, { clientId }: Pick<OktaGrant, 'clientId'>): OktaClient {
  const client = context.clients.get(clientId)
  if (client === undefined) throw new Error(`there is no client ${clientId}`)
  return client
}

/** `iss` of the tokens of a grant. */
export function issuerOf(context: OktaContext, grant: OktaGrant): string {
  const server = serverOf(context, grant)
  const mode = server.id === 'org' ? clientOf(context, grant).issuer_mode : server.issuerMode
  return issuerAt(issuerOrigin(context, mode, grant.origin), server.id)
}

function idTokenClaims(
  context: OktaContext,
  grant: OktaGrant,
  client: OktaClient,
  { accessToken, code, nonce }: OktaBinding,
): JsonObject {
  const now = nowInSeconds()
  return {
    sub: grant.person.id,
    ...(accessToken === undefined ? fatClaims(context, grant) : thinClaims(context, grant)),
    ver: 1,
    iss: issuerOf(context, grant),
    aud: grant.clientId,
    iat: now,
    exp: now + ID_TOKEN_LIFETIME,
    jti: `ID.${randomBytes(24).toString('base64url')}`,
    amr: grant.amr,
    idp: ORGANISATION_ID,
    ...(nonce === undefined ? {} : { nonce }),
    auth_time: grant.authTime,
    ...(accessToken === undefined ? {} : { at_hash: tokenHash('RS256', accessToken) }),
    ...(code === undefined ? {} : { c_hash: tokenHash('RS256', code) }),
    ...(grant.acr === undefined ? {} : { acr: grant.acr }),
    ...(client.participate_slo ? { sid: grant.sid } : {}),
  }
}

/** All that the scopes of a grant bring (OIDC Core 5.4), and what the server adds. Without a value: not there. */
export function fatClaims(context: OktaContext, { person, scopes, serverId, clientId }: OktaGrant): JsonObject {
  const server = serverOf(context, { serverId })
  const groups = serverId === 'org' && scopes.includes('groups') ? groupsOf(context, person.groups, clientId) : []
  return {
    ...Object.assign({}, ...scopes.map((scope) => person.claims[scope])),
    ...(groups.length === 0 ? {} : { groups }),
    ...Object.fromEntries(server.claims.filter(({ value }) => value !== null).map(({ name, value }) => [name, value])),
  }
}

function thinClaims(context: OktaContext, grant: OktaGrant): JsonObject {
  const always = serverOf(context, grant).claims.filter(({ alwaysInIdToken }) => alwaysInIdToken)
  const names = [...THIN, ...always.map(({ name }) => name)]
  return Object.fromEntries(Object.entries(fatClaims(context, grant)).filter(([name]) => names.includes(name)))
}

function groupsOf(context: OktaContext, groups: readonly string[], clientId: string): readonly string[] {
  return clientOf(context, { clientId }).groups_claim === 'filter'
    ? groups.filter((name) => name !== 'Everyone')
    : groups
}

/**
 * Not RFC 9068: no `typ`, no `client_id`, no `scope`, and `sub` is the login name. That of the organisation's server is
 * for Okta alone: it is signed with a key that nobody publishes.
 */
export async function issueOktaAccessToken(context: OktaContext, grant: OktaGrant, jkt?: string): Promise<string> {
  const server = serverOf(context, grant)
  const now = nowInSeconds()
  const issuer = issuerOf(context, grant)
  const isOrg = server.id === 'org'
  const key = isOrg ? unpublishedKey() : server.keys[0]
  if (key === undefined) throw new Error('the server has no keys')
  const payload = {
    ver: 1,
    jti: `AT.${randomBytes(24).toString('base64url')}`,
    iss: issuer,
    aud: isOrg ? issuer : 'api://default',
    iat: now,
    exp: now + server.accessTokenLifetime,
    cid: grant.clientId,
    uid: grant.person.id,
    scp: grant.scopes,
    auth_time: grant.authTime,
    sub: grant.person.login,
    ...(jkt === undefined ? {} : { cnf: { jkt } }),
  }
  const jwt = signJws('RS256', key.privateKey, { kid: key.kid, alg: 'RS256' }, payload)
  const sent = context.change.accessToken?.(jwt) ?? jwt
  context.accessTokens.set(sent, grant)
  if (jkt !== undefined) context.boundTo.set(sent, jkt)
  return sent
}

function unpublishedKey(): SigningKey {
  unpublished ??= createSigningKeys()
  return unpublished.rsa
}
