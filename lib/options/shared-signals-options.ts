import { SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import { availableInThisNode } from './client-keys-rule.ts'
import { derived, type OptionTable, option, required } from './option-row.ts'
import { anyOf, firstFailing, listOf, must, nonEmptyString, oneOf } from './rule.ts'
import { endpointUrl, issuer } from './urls.ts'

/** The option `sharedSignals`: who sends security events about the users of this provider, and how to recognize them. */
export interface SharedSignalsOptions {
  /**
   * The issuer of the transmitter, exactly as in its configuration document and in the `iss` of its events. Set it if it is not
   * the provider's own: Okta's events come from the organization (`https://example.okta.com`), whatever authorization server
   * issues the ID Tokens.
   * @default the provider's `issuer`
   */
  issuer?: string
  /**
   * The audience of the stream, as the transmitter has set it: one value, or a list of which each event must have one.
   * `npx express-oidc streams create` prints it.
   */
  audience: string | readonly string[]
  /**
   * The value of the header `Authorization` that the transmitter sends with each event (`authorization_header` of the stream): at
   * least 16 characters. In a list, each is accepted: to replace one, put both in the list. Without it, the signature alone
   * says who the sender is, and `npx express-oidc streams verify` cannot be used.
   */
  authorizationHeader?: string | readonly string[]
  /**
   * The only signature algorithm to accept in security event tokens. With a `profile` the default is PS256, and ES256 and EdDSA
   * are allowed.
   * @default 'RS256'
   */
  signingAlg?: string
  /**
   * The URL of the configuration document of the transmitter (SSF 7.2). Its `issuer` is checked in any case.
   * @default `/.well-known/ssf-configuration` at the host of `issuer`, followed by the path of `issuer`
   */
  configurationUrl?: string
}

/** It is sent as the value of a header, and compared with it. */
const authorizationHeader = must(
  'be at least 16 printable ASCII characters, without a space at the start or the end',
  (value) => typeof value === 'string' && /^[!-~][ -~]{14,}[!-~]$/.test(value),
)

/** Nobody shares a client secret with a transmitter. */
const ALGORITHMS = SIGNATURE_ALGORITHMS.filter((alg) => !usesClientSecret(alg))

/** The members of the option `sharedSignals`. */
export const SHARED_SIGNALS_OPTIONS: OptionTable<
  SharedSignalsOptions,
  'issuer' | 'authorizationHeader' | 'configurationUrl'
> = {
  issuer: derived(issuer, "the provider's `issuer`"),
  audience: required(anyOf(nonEmptyString, listOf('one or more audiences, or one audience', nonEmptyString, 1))),
  authorizationHeader: option(
    anyOf(authorizationHeader, listOf('one or more values of the header, or one', authorizationHeader, 1)),
  ),
  signingAlg: option(firstFailing(availableInThisNode, oneOf(...ALGORITHMS)), 'RS256'),
  configurationUrl: derived(
    endpointUrl,
    '`/.well-known/ssf-configuration` at the host of `issuer`, followed by the path of `issuer`',
  ),
}
