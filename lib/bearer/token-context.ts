import { OidcError } from '../errors.ts'
import type { Credentials } from '../http/authorization.ts'
import type { AccessTokenGrant } from '../protocol/access-token-claims.ts'
import { meetsRequirement, parseRequirement } from '../protocol/step-up.ts'
import type {
  AccessTokenClaims,
  AnonymousContext,
  AuthorizationDetail,
  AuthRequirement,
  OidcMethods,
  TokenContext,
} from '../types.ts'

interface Settings {
  readonly clockTolerance: number
}

/** Creates `req.oidc` for a request that an access token authenticates. */
export function createTokenContext(
  credentials: Credentials,
  grant: AccessTokenGrant,
  settings: Settings,
): TokenContext {
  return new GrantContext(credentials, grant, settings)
}

/** Creates `req.oidc` for a request without a token. */
export function createAnonymousContext(): AnonymousContext {
  return new NobodyContext()
}

/** The methods of `req.oidc` that need a session. Behind `bearer()` there is none. */
abstract class WithoutSession implements OidcMethods {
  abstract meets(requirement: AuthRequirement): boolean

  loginUrl(): string {
    throw noSession('loginUrl')
  }

  /** A silent login makes no sense here, so `attemptSilentLogin()` lets the request pass. */
  silentLoginUrl(): undefined {
    return undefined
  }

  sessionCheckUrl(): undefined {
    return undefined
  }

  async login(): Promise<never> {
    throw noSession('login')
  }

  async logout(): Promise<never> {
    throw noSession('logout')
  }

  async tokens(): Promise<never> {
    throw noSession('tokens')
  }

  async idToken(): Promise<never> {
    throw noSession('idToken')
  }

  async accessToken(): Promise<never> {
    throw noSession('accessToken')
  }

  async fetch(): Promise<never> {
    throw noSession('fetch')
  }

  async userinfo(): Promise<never> {
    throw noSession('userinfo')
  }
}

/** A class, as the context of a session is (decision 0011): its methods are made once and not for every request. */
class GrantContext extends WithoutSession implements TokenContext {
  readonly #credentials: Credentials
  readonly #grant: AccessTokenGrant
  readonly #settings: Settings

  constructor(credentials: Credentials, grant: AccessTokenGrant, settings: Settings) {
    super()
    this.#credentials = credentials
    this.#grant = grant
    this.#settings = settings
  }

  get isAuthenticated(): true {
    return true
  }

  get authenticatedBy(): 'access_token' {
    return 'access_token'
  }

  get provider(): string {
    return this.claims.iss
  }

  get claims(): AccessTokenClaims {
    // The rules for the claims of an access token have checked what this type says.
    return this.#grant.claims as unknown as AccessTokenClaims
  }

  get scope(): string {
    return this.#grant.scope
  }

  get authorizationDetails(): readonly AuthorizationDetail[] {
    return this.#grant.authorizationDetails
  }

  get expiresAt(): number {
    return this.#grant.expiresAt
  }

  get clientId(): string | undefined {
    return this.#grant.clientId
  }

  /** A getter, so that nobody prints the token by printing `req.oidc`. */
  get token(): string {
    return this.#credentials.token
  }

  get tokenType(): 'Bearer' | 'DPoP' {
    return this.#credentials.scheme
  }

  /** RFC 9470 6.2: `auth_time` says when the user authenticated. `iat` says nothing about that. */
  meets(requirement: AuthRequirement): boolean {
    const { clockTolerance } = this.#settings
    return meetsRequirement(this.claims, parseRequirement(requirement), { clockTolerance, scope: this.scope })
  }
}

class NobodyContext extends WithoutSession implements AnonymousContext {
  readonly isAuthenticated = false
  readonly authenticatedBy = undefined
  readonly provider = undefined
  readonly claims = undefined
  readonly scope = undefined
  readonly authorizationDetails = undefined
  readonly expiresAt = undefined

  meets(requirement: AuthRequirement): boolean {
    parseRequirement(requirement)
    return false
  }
}

function noSession(method: keyof OidcMethods): OidcError {
  return new OidcError(
    'ERR_OIDC_NO_SESSION',
    `req.oidc.${method}() needs a session, but bearer() handles this request. Check req.oidc.authenticatedBy first.`,
  )
}
