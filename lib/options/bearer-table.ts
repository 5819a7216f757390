import { SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import type { BearerAppOptions, BearerIssuerOptions, IntrospectionOptions } from './bearer-options.ts'
import { availableInThisNode, clientKeysRule } from './client-keys-rule.ts'
import { derived, group, type OptionTable, objectOf, option, required } from './option-row.ts'
import {
  agent,
  authMethod,
  ca,
  certificate,
  credential,
  discovery,
  secret,
  sharedState,
  tenants,
  timeout,
} from './option-rules.ts'
import { keySourceProblems } from './provider-keys-rule.ts'
import {
  anyOf,
  booleanRule,
  firstFailing,
  functionRule,
  isJson,
  isPlainObject,
  listOf,
  must,
  nonEmptyString,
  objectWith,
  oneOf,
  optional,
  seconds,
  showValue,
} from './rule.ts'
import { baseUrl, endpointUrl, issuer } from './urls.ts'

// One row for each option of bearer(): its name, its rule, and its default. What an option is for stands in
// bearer-options.ts. A new option is a row here, a member there, and an entry in docs/bearer.md.

export type BearerIssuerWithoutDefault = 'tenants' | 'profile' | 'maxTokenAge' | 'providerMetadata' | 'introspection'
export type BearerAppWithoutDefault =
  | ('issuers' | 'fetch' | 'agent' | 'ca' | 'baseUrl' | 'dpopNonceSecret' | 'sharedState')
  | ('clientCertificate' | 'resource' | 'resourceMetadata')

/** Only algorithms with a key pair: an API that shares a secret with the issuer could issue tokens itself. */
const SIGNATURES = SIGNATURE_ALGORITHMS.filter((alg) => !usesClientSecret(alg))

/** RFC 9449 4.2. A proof with a key of ML-DSA is longer than a header should be. */
const PROOF_SIGNATURES = SIGNATURES.filter((alg) => !alg.startsWith('ML-DSA'))

/** RFC 9110 5.1. */
const headerName = must(
  'be the name of a header',
  (value) => typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value),
  showValue,
)

function isNetwork(value: unknown): boolean {
  const [, address = '', bits = '0'] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(String(value)) ?? []
  const { isIP } = process.getBuiltinModule('node:net')
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 4 ? 32 : 128)
}

const clientCertificate = anyOf(
  must("be 'tls'", (value) => value === 'tls'),
  objectOf({
    header: required(headerName),
    format: required(oneOf('escaped-pem', 'xfcc', 'rfc9440')),
    trustedProxies: required(
      listOf(
        'one or more IP addresses or networks',
        must("be an IP address or a network, such as '10.0.0.0/8'", isNetwork, showValue),
        1,
      ),
    ),
  }),
)

const metadata = firstFailing(
  objectWith((given, name) => [
    ...nonEmptyString(given['issuer'], `${name}.issuer`),
    ...keySourceProblems(given, name, false),
    ...optional(endpointUrl)(given['introspection_endpoint'], `${name}.introspection_endpoint`),
  ]),
  must('contain only values that JSON can hold', (value) => isJson(value)),
)

export type IntrospectionWithoutDefault =
  | ('clientSecret' | 'tokenEndpointAuthSigningAlg' | 'clientAssertionAudience' | 'clientAssertion')
  | ('tlsClientCertificate' | 'introspectionSignedResponseAlg')

const anySignature = firstFailing(availableInThisNode, oneOf(...SIGNATURE_ALGORITHMS))

/** The option `introspection`. */
export const INTROSPECTION_OPTIONS: OptionTable<IntrospectionOptions, IntrospectionWithoutDefault> = {
  clientId: required(credential),
  clientSecret: option(anyOf(functionRule, credential)),
  tokenEndpointAuthMethod: option(authMethod, 'client_secret_basic'),
  tokenEndpointAuthSigningAlg: derived(anySignature, 'what the first signing key of `clientKeys` is for, or HS256'),
  clientAssertionAudience: derived(nonEmptyString, "'issuer', at Okta 'endpoint'"),
  clientAssertion: option(functionRule),
  clientKeys: option(clientKeysRule, []),
  tlsClientCertificate: option(certificate),
  introspectionSignedResponseAlg: option(anySignature),
  tokens: option(oneOf('opaque', 'all'), 'opaque'),
  maxAge: option(seconds(0, 3600), 30),
}

/** Options of an issuer. They are given at the top, or for one under `issuers`. */
export const BEARER_ISSUER_OPTIONS: OptionTable<BearerIssuerOptions, BearerIssuerWithoutDefault> = {
  issuer: required(issuer),
  audience: required(anyOf(nonEmptyString, listOf('one or more audiences', nonEmptyString, 1))),
  audienceClaim: option(oneOf('aud', 'client_id'), 'aud'),
  algorithms: option(listOf('signature algorithms', firstFailing(availableInThisNode, oneOf(...SIGNATURES)), 1), [
    'RS256',
  ]),
  tenants: option(tenants),
  profile: option(oneOf('rfc9068')),
  maxTokenAge: option(seconds(1, 86_400 * 365)),
  allowMissingSub: option(booleanRule, false),
  dangerouslyAllowUnmarkedTokens: option(booleanRule, false),
  discovery: option(discovery, 'oidc'),
  providerMetadata: option(metadata),
  introspection: group(INTROSPECTION_OPTIONS),
}

/** Options of the API. They are given at the top only. */
export const BEARER_APP_OPTIONS: OptionTable<BearerAppOptions, BearerAppWithoutDefault> = {
  issuers: derived(
    anyOf(
      functionRule,
      must('be a list of issuers, or a function', (value) => Array.isArray(value) && value.length > 0),
    ),
    'the one `issuer`',
  ),
  allowAnonymous: option(booleanRule, false),
  allowSession: option(booleanRule, false),
  realm: option(
    must('be 1 to 100 printable ASCII characters without quotes and backslashes', isQuotable, showValue),
    'api',
  ),
  baseUrl: derived(baseUrl, 'the origin of `resource`'),
  senderConstrained: option(oneOf('required', 'allowed'), 'allowed'),
  dpopSigningAlgs: option(
    listOf('signature algorithms', firstFailing(availableInThisNode, oneOf(...PROOF_SIGNATURES)), 1),
    ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
  ),
  dpopNonceSecret: option(secret),
  sharedState: derived(sharedState, 'the memory of this process'),
  clientCertificate: option(clientCertificate),
  resource: option(endpointUrl),
  resourceMetadata: option(
    firstFailing(
      must('be a plain object', isPlainObject),
      must('contain only values that JSON can hold', (value) => isJson(value)),
      must('not contain resource or authorization_servers, which are set from the options', (value) =>
        ['resource', 'authorization_servers'].every((name) => !Object.hasOwn(Object(value), name)),
      ),
    ),
  ),
  tokenCacheSize: option(
    must(
      'be a whole number of bytes from 0 to 1073741824',
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2 ** 30,
      showValue,
    ),
    4_194_304,
  ),
  clockTolerance: option(seconds(0, 300), 60),
  timeout: option(timeout, 10),
  fetch: option(functionRule),
  agent: option(agent),
  ca: option(ca),
  dangerouslyAllowInsecureRequests: option(booleanRule, false),
}

function isQuotable(value: unknown): boolean {
  return typeof value === 'string' && /^[ !#-[\]-~]{1,100}$/.test(value)
}
