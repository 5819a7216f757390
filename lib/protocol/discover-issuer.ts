import type { WebFingerOptions } from './webfinger.ts'

/**
 * Finds the issuer of a user by WebFinger (OIDC Discovery 2). The identifier is what the user typed: `joe@example.com` or a
 * URL. Use it if users of many providers log in. Anybody can choose the host in the identifier, so requests go only to public
 * addresses over https, and redirects are not followed. The issuer is only a claim of that host: check that you trust it
 * before you log users in there.
 *
 * @throws OidcError `ERR_OIDC_WEBFINGER_IDENTIFIER` if the text is not an identifier or its host must not be requested,
 *   `ERR_OIDC_WEBFINGER_UNKNOWN` if the host knows no issuer, `ERR_OIDC_WEBFINGER_RESPONSE` if its response is invalid, and
 *   `ERR_OIDC_PROVIDER_…` if the request fails.
 * @example
 * ```ts
 * const found = await discoverIssuer('joe@example.com')
 * const atOkta = { server: 'https://example.okta.com', resourceScheme: 'okta:acct' }
 * const org = await discoverIssuer('joe@example.com', atOkta)
 * ```
 */
export async function discoverIssuer(identifier: string, options: WebFingerOptions = {}): Promise<string> {
  // Loaded at the first call: few applications use it, and the HTTP client brings TLS along.
  const { findIssuer } = await import('./webfinger.ts')
  return await findIssuer(identifier, options)
}
