import type { SigningKey } from '../app/signing-keys.ts'

export type JsonObject = Record<string, unknown>

/** Which domain stands in `iss`: always that of the organisation, always the custom one, or the one that was asked. */
export type IssuerMode = 'ORG_URL' | 'CUSTOM_URL' | 'DYNAMIC'

/** Somebody in Okta's directory. */
export interface OktaPerson {
  /** `sub` of ID Tokens and UserInfo, `uid` of access tokens. */
  readonly id: string
  /** `sub` of access tokens. */
  readonly login: string
  /** By scope. A claim without a value is not there. */
  readonly claims: Readonly<Record<string, JsonObject>>
  readonly groups: readonly string[]
}

/** A claim that an administrator has added to an authorization server or an application. */
export interface OktaClaim {
  readonly name: string
  readonly value: unknown
  /** Also in the ID Token that comes with an access token. */
  readonly alwaysInIdToken: boolean
}

/** An authorization server: the organisation's own, `org`, or a custom one. */
export interface OktaServer {
  readonly id: string
  issuerMode: IssuerMode
  /** In no order. The first is the one that signs. */
  keys: readonly SigningKey[]
  /** In seconds: 45 days less a little. */
  keysMaxAge: number
  /** Scopes of its own, beside the standard ones. Never in the metadata, unless published. */
  scopes: readonly string[]
  claims: readonly OktaClaim[]
  /** Whether an access policy and a rule of it match. */
  policy: 'matches' | 'none'
  /** In seconds. */
  accessTokenLifetime: number
}

/** An application, by the wire names of its registration. */
export interface OktaClient {
  readonly client_id: string
  client_secret?: string | undefined
  token_endpoint_auth_method: string
  /** Absent: every one on the loopback interface, since the ports of the apps are not known before. */
  redirect_uris?: readonly string[] | undefined
  post_logout_redirect_uris?: readonly string[] | undefined
  /** Of the ID Tokens of the organisation's own server. */
  issuer_mode: IssuerMode
  /** Whether the person at the browser is assigned to it. */
  assignment: 'assigned' | 'none'
  consent_method: 'TRUSTED' | 'REQUIRED'
  /** Groups come by a filter, or by an expression, which has a limit of 100 groups. */
  groups_claim: 'filter' | 'expression'
  /** Keys of its own, where they are pinned. */
  pinned_keys?: readonly SigningKey[] | undefined
  dpop_bound_access_tokens?: boolean | undefined
  jwks?: { readonly keys: readonly JsonObject[] } | undefined
  /** Whether the logout of another application is told to this one, at `frontchannel_logout_uri`. */
  participate_slo?: boolean | undefined
  frontchannel_logout_uri?: string | undefined
  rotation_type: 'ROTATE' | 'STATIC'
  /** In seconds, 0 to 60. */
  leeway: number
  idp_initiated_login: 'DISABLED' | 'SPEC' | 'OKTA'
  readonly [member: string]: unknown
}

/** What is at Okta before anybody has changed anything. */
export const ALICE: OktaPerson = {
  id: '00uid4BxXw6I6TV4m0g3',
  login: 'alice@example.test',
  groups: ['Everyone', 'admin', 'US: Sales'],
  claims: {
    profile: {
      name: 'Alice Example',
      given_name: 'Alice',
      family_name: 'Example',
      preferred_username: 'alice@example.test',
      zoneinfo: 'America/Los_Angeles',
      locale: 'en_US',
      updated_at: 1_760_000_000,
    },
    email: { email: 'alice@example.test', email_verified: true },
    // No `formatted`, and lines are ended as Windows does.
    address: {
      address: {
        street_address: 'Ring 1\r\nTop 2',
        locality: 'Wien',
        region: 'Wien',
        postal_code: '1010',
        country: 'AT',
      },
    },
    // The scope table of Okta has `phone_number_verified` too, but it is never sent.
    phone: { phone_number: '+43 1 2345678' },
  },
}

export const BOB: OktaPerson = {
  id: '00ub0oul1bNFvzCAX0h7',
  login: 'bob@example.test',
  groups: ['Everyone'],
  claims: {
    profile: { name: 'Bob Example', preferred_username: 'bob@example.test', updated_at: 1_750_000_000 },
    email: { email: 'bob@example.test', email_verified: true },
    address: {},
    phone: {},
  },
}

/** The organisation: what `idp` names where people log in with a password of Okta's. */
export const ORGANISATION_ID = '00o1a2b3c4d5e6f7g8h9'
