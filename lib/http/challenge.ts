import type { Request, Response } from './request.ts'
import { send } from './response.ts'

/** How the routes behind one `bearer()` call are protected: what a challenge tells the client. */
export interface Protection {
  readonly realm: string
  /** True if a session authenticates a request without a token. */
  readonly allowSession: boolean
  /** The schemes that the routes accept, each with the parameters of its challenge. */
  readonly schemes: readonly ChallengeScheme[]
}

/** A scheme that is offered in each challenge (RFC 6750 3, RFC 9449 7.1). */
export interface ChallengeScheme {
  readonly name: 'Bearer' | 'DPoP'
  readonly params: ChallengeParams
}

type ChallengeParams = Readonly<Record<string, string>>

/** What was wrong with a request (RFC 6750 3.1, RFC 9449 7.1, RFC 9470 3). No text of the request goes in here. */
export interface ChallengeProblem {
  readonly status: 400 | 401 | 403
  /** Absent if the request had no token (RFC 6750 3.1). */
  readonly error?: string | undefined
  readonly description: string
  /** What the client needs: `scope`, `acr_values`, `max_age`. */
  readonly params?: ChallengeParams
}

/** The member of a request that says how its route is protected. */
const PROTECTION: unique symbol = Symbol('express-oidc.protection')

/** Remembers for the guards that this request has passed a `bearer()`. The last one counts. */
export function protect(req: Request & { [PROTECTION]?: Protection }, protection: Protection): void {
  req[PROTECTION] = protection
}

/** The protection of the last `bearer()` that this request has passed. */
export function protectionOf(req: Request & { readonly [PROTECTION]?: Protection }): Protection | undefined {
  return req[PROTECTION]
}

/**
 * Sends a challenge: one `WWW-Authenticate` header for each scheme, and the same in JSON. The error stands in the challenge of
 * the scheme that the client has used.
 */
export function sendChallenge(
  res: Response,
  { realm, schemes }: Protection,
  { status, error, description, params = {} }: ChallengeProblem,
  used: ChallengeScheme['name'] = 'Bearer',
): void {
  const problem = error === undefined ? {} : { error, error_description: description, ...params }
  const main = schemes.some(({ name }) => name === used) ? used : schemes[0]?.name
  setChallenges(
    res,
    schemes.map((scheme) => formatChallenge(scheme, realm, scheme.name === main ? problem : {})),
  )
  const body = { error: error ?? 'access_token_required', error_description: description }
  send(res, status, 'application/json', JSON.stringify(body))
}

/** Offers the schemes beside another way to log in. */
export function offerSchemes(res: Response, { realm, schemes }: Protection): void {
  setChallenges(
    res,
    schemes.map((scheme) => formatChallenge(scheme, realm, {})),
  )
}

/** 503 while a token cannot be verified: the client must not throw its token away (RFC 9110 15.6.4). */
export function sendUnavailable(res: Response, retryAfter: number): void {
  const description = 'The access token cannot be verified at the moment. Retry later.'
  res.setHeader('Retry-After', String(retryAfter))
  send(
    res,
    503,
    'application/json',
    JSON.stringify({ error: 'temporarily_unavailable', error_description: description }),
  )
}

function setChallenges(res: Response, challenges: readonly string[]): void {
  res.setHeader('WWW-Authenticate', [...challenges])
}

/** The values hold no quotes and no backslashes: each is ours, or was checked when the guard was made. */
function formatChallenge({ name, params }: ChallengeScheme, realm: string, problem: ChallengeParams): string {
  const all = Object.entries({ realm, ...problem, ...params })
  return `${name} ${all.map(([param, value]) => `${param}="${value}"`).join(', ')}`
}
