/**
 * The claims that secure a login (OIDC Core 2, 3.3.2.11). They come from the ID Token alone, never from UserInfo or from
 * a claims provider.
 */
export const SECURING_CLAIMS: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid'],
  ...['at_hash', 'c_hash', 's_hash'],
])
