import { randomBytes } from 'node:crypto'
import type { Misbehaviors } from './misbehavior.ts'
import type { SigningKeys } from './signing-keys.ts'
import type { TestClient, TestSetup, TestUser } from './test-options.ts'

/** All that one test provider is made of. */
export interface TestContext {
  readonly issuer: string
  readonly setup: TestSetup
  readonly keys: SigningKeys
  readonly misbehaviors: Misbehaviors
  readonly records: TestRecords
}

/** A user's session at the provider. */
export interface UserSession {
  readonly user: TestUser
  readonly sid: string
  /** In whole seconds since 1970. */
  readonly authTime: number
}

/** What a user has granted to a client: a login. */
export interface Grant {
  readonly client: TestClient
  readonly session: UserSession
  readonly scope: string
  readonly audience: string
  readonly acr: string | undefined
  isRevoked: boolean
}

interface CodeRecord {
  readonly grant: Grant
  readonly redirectUri: string
  readonly codeChallenge: string | undefined
  readonly nonce: string | undefined
  readonly expiresAt: number
  isUsed: boolean
}

interface AccessTokenRecord {
  /** Absent if no user is involved. */
  readonly grant: Grant | undefined
  readonly clientId: string
  readonly claims: Readonly<Record<string, unknown>>
  isRevoked: boolean
}

interface RefreshTokenRecord {
  readonly grant: Grant
  isUsed: boolean
}

/** What the provider remembers. It lasts as long as the provider. */
export interface TestRecords {
  readonly sessions: Map<string, UserSession>
  readonly codes: Map<string, CodeRecord>
  readonly accessTokens: Map<string, AccessTokenRecord>
  readonly refreshTokens: Map<string, RefreshTokenRecord>
  /** The users of `login()`, by the random value of a request header. */
  readonly tickets: Map<string, TestUser>
  /** The client assertions that were used, by client and `jti`. */
  readonly assertions: Set<string>
  /** The authorization requests for which a sign-in page is open. */
  readonly signIns: Map<string, URLSearchParams>
}

export function createTestRecords(): TestRecords {
  return {
    sessions: new Map(),
    codes: new Map(),
    accessTokens: new Map(),
    refreshTokens: new Map(),
    tickets: new Map(),
    assertions: new Set(),
    signIns: new Map(),
  }
}

/** A value that nobody can guess, for codes, opaque tokens and identifiers. */
export function randomValue(): string {
  return randomBytes(24).toString('base64url')
}
