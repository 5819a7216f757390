import type { ErrorCode } from '../error-status.ts'
import { OidcError, ProviderError } from '../errors.ts'
import { harmless } from './printed.ts'

/** What to do, for the failures that one meets most. The documentation has more on each. */
const ADVICE: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_OIDC_REGISTRATION_UNSUPPORTED: 'Name the endpoint by --registration-endpoint, or register the client by hand.',
  ERR_OIDC_REGISTRATION_UNAUTHORIZED:
    'Look at the token: --token-file or EXPRESS_OIDC_TOKEN, with --scheme SSWS for an API token of Okta. ' +
    'For a client that exists: it may have been deleted.',
  ERR_OIDC_REGISTRATION_SECRET: 'Register another client, and delete this one.',
  ERR_OIDC_REGISTRATION_RESPONSE: 'Look whether the address is that of the registration endpoint.',
  ERR_OIDC_METADATA_INVALID: 'For plain http, in development, there is --insecure.',
}

/** What is printed of a failure: nothing that is secret, and nothing that a terminal could take for a command. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof OidcError)) return `error: ${error instanceof Error ? harmless(error.message) : 'unknown'}\n`
  const refusal = error instanceof ProviderError ? error.refusal : undefined
  const lines = [
    `${error.code}: ${error.message}${causeOf(error)}`,
    ...(refusal === undefined ? [] : [`The provider says ${said([refusal.error, refusal.errorDescription])}`]),
    ...[ADVICE[error.code] ?? []].flat(),
  ]
  return `${lines.join('\n')}\n`
}

/** Of a failure of the system, its name alone: `ECONNREFUSED`, `EACCES`. */
function causeOf({ cause }: OidcError): string {
  const code: unknown = Object(cause).code
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? ` (${code})` : ''
}

function said(texts: readonly (string | undefined)[]): string {
  return harmless(texts.filter((text) => text !== undefined).join(': '))
}
