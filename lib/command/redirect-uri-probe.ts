import { createHash, randomBytes } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Config } from '../options/config.ts'
import type { ConnectionSettings } from '../provider/connections.ts'
import { createNodeTransport } from '../provider/http-transport.ts'
import { withTimeLimit } from '../time/limit.ts'

/**
 * What the authorization endpoint says about a client and its redirect URI.
 *
 * - `known`: it sends the browser back to the redirect URI, so both are registered.
 * - `refused`: it shows an error instead. Most providers do that for an unknown client or redirect URI (RFC 6749 4.1.2.1).
 * - `error`: both are registered, but the provider refuses the request itself.
 * - `unclear`: anything else.
 */
export type ProbeOutcome =
  | { readonly kind: 'known' | 'unclear' }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'error'; readonly error: string }

/** The errors of `prompt=none`, which only say that no user is logged in (OIDC Core 3.1.2.6). */
const NOBODY_LOGGED_IN = ['login_required', 'interaction_required', 'consent_required', 'account_selection_required']

/** Sends one authorization request with `prompt=none` and without cookies: nobody is logged in, and no page is shown. */
export async function probeRedirectUri(
  endpoint: string,
  { clientId, redirectUri, timeout }: Pick<Config, 'clientId' | 'redirectUri' | 'timeout'>,
  connections: ConnectionSettings,
): Promise<ProbeOutcome> {
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries(requestOf(clientId, redirectUri))) url.searchParams.set(name, value)
  const send = createNodeTransport(connections)
  try {
    return await withTimeLimit(
      timeout,
      async (limit) => {
        const { status, headers, body } = await send(url, { method: 'GET', headers: HEADERS }, limit)
        // Nobody reads the page, so the connection is closed.
        for await (const _chunk of body) break
        return judge(status, headers.get('location'), url, redirectUri)
      },
      () => new OidcError('ERR_OIDC_PROVIDER_TIMEOUT', 'The authorization request got no response (option timeout).'),
    )
  } catch {
    return { kind: 'unclear' }
  }
}

const HEADERS = { accept: 'text/html', 'user-agent': 'express-oidc', 'accept-encoding': 'identity' }

function requestOf(clientId: string, redirectUri: string): Readonly<Record<string, string>> {
  const random = (): string => randomBytes(32).toString('base64url')
  return {
    ...{ client_id: clientId, redirect_uri: redirectUri, response_type: 'code', scope: 'openid', prompt: 'none' },
    ...{ state: random(), nonce: random(), code_challenge_method: 'S256' },
    code_challenge: createHash('sha256').update(random()).digest('base64url'),
  }
}

function judge(status: number, location: string | null, base: URL, redirectUri: string): ProbeOutcome {
  if (status >= 400 && status < 500) return { kind: 'refused', status }
  if (status < 300 || status >= 400 || location === null || !URL.canParse(location, base.href))
    return { kind: 'unclear' }
  const target = new URL(location, base)
  const expected = new URL(redirectUri)
  if (target.origin !== expected.origin || target.pathname !== expected.pathname) return { kind: 'unclear' }
  const error = new URLSearchParams(target.search || target.hash.slice(1)).get('error')
  return error === null || NOBODY_LOGGED_IN.includes(error) ? { kind: 'known' } : { kind: 'error', error }
}
