import type { IdTokenClaims } from '../../lib/types.ts'
import type { LoginRecord } from '../login-recorder.ts'

/** A check that the login has passed. */
export interface Check {
  readonly title: string
  readonly detail: string
}

/**
 * The checks of the library, with what they compared. A login that fails one of them has no session, so each that is listed
 * here was passed.
 */
export function findChecks(record: LoginRecord, claims: IdTokenClaims): readonly Check[] {
  const { start, returned, requests, algorithm } = record
  const sent = (name: string): string | undefined => start?.sent.find((parameter) => parameter.name === name)?.value
  const checks: ReadonlyArray<readonly [isMade: boolean, title: string, detail: string]> = [
    [true, 'This browser started the login', 'state is the one in its encrypted cookie'],
    [true, 'The response was not used before', 'a code is taken once'],
    [returned.some(({ name }) => name === 'iss'), 'The right provider responds', `iss is ${claims.iss}`],
    [
      sent('code_challenge_method') !== undefined,
      'Nobody can use a stolen code',
      `PKCE with ${sent('code_challenge_method')}`,
    ],
    [true, 'The provider signed the ID Token', `${algorithm}, with a key that it publishes`],
    [true, 'It was issued by the provider', String(claims.iss)],
    [true, 'It is for this app', `aud is ${[claims.aud].flat().join(', ')}`],
    [true, 'It belongs to this login', 'nonce is the one in the cookie'],
    [true, 'It has not expired', 'exp and iat, with at most a minute between the clocks'],
    [typeof claims['at_hash'] === 'string', 'The access token belongs to it', 'at_hash is the hash of the token'],
    [
      requests.some(({ path }) => /userinfo|\/me$/.test(path)),
      'Both speak of the same user',
      'sub at UserInfo is equal',
    ],
    [true, 'The next page is one of ours', start?.path ?? 'a path of this app'],
    [true, 'The session has a new id', 'one that was planted before is worth nothing'],
  ]
  return checks.flatMap(([isMade, title, detail]) => (isMade ? [{ title, detail }] : []))
}
