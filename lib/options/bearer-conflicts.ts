import type { BearerAppOptions, BearerIssuerOptions, IntrospectionOptions } from './bearer-options.ts'
import { TENANT_PLACEHOLDER } from './issuer.ts'
import { type Conflict, conflict } from './rule.ts'

/** Contradictions between options of the API. */
export const BEARER_APP_CONFLICTS: readonly Conflict<BearerAppOptions>[] = [
  conflict(
    ['fetch', 'agent'],
    'agent cannot be combined with fetch, which makes its own connections.',
    ({ fetch, agent }) => fetch !== undefined && agent !== undefined,
  ),
  conflict(
    ['ca', 'agent', 'fetch'],
    'ca cannot be combined with agent or fetch. Give the authorities to your agent or fetch function.',
    ({ ca, agent, fetch }) => ca !== undefined && (agent !== undefined || fetch !== undefined),
  ),
  conflict(
    ['senderConstrained', 'baseUrl', 'resource', 'clientCertificate'],
    "senderConstrained 'required' needs baseUrl (for DPoP) or clientCertificate.",
    (given) =>
      given.senderConstrained === 'required' &&
      given.baseUrl === undefined &&
      given.resource === undefined &&
      given.clientCertificate === undefined,
  ),
  conflict(
    ['resource', 'resourceMetadata'],
    'resourceMetadata needs resource, the identifier of the API.',
    ({ resource, resourceMetadata }) => resourceMetadata !== undefined && resource === undefined,
  ),
  conflict(
    ['dpopNonceSecret', 'baseUrl', 'resource'],
    'dpopNonceSecret needs baseUrl or resource: DPoP proofs name the URL of the request.',
    (given) => given.dpopNonceSecret !== undefined && given.baseUrl === undefined && given.resource === undefined,
  ),
]

function isForTenants(given: unknown): boolean {
  return typeof given === 'string' && given.includes(TENANT_PLACEHOLDER)
}

/** Contradictions between options of one issuer. */
export const BEARER_ISSUER_CONFLICTS: readonly Conflict<BearerIssuerOptions>[] = [
  conflict(
    ['issuer', 'tenants'],
    'tenants is required if issuer contains {tenantid}. List the tenants whose tokens are accepted.',
    (given) => given.tenants === undefined && isForTenants(given.issuer),
  ),
  conflict(
    ['issuer', 'tenants'],
    'tenants needs an issuer that contains {tenantid}.',
    (given) => given.tenants !== undefined && !isForTenants(given.issuer),
  ),
  conflict(
    ['discovery', 'providerMetadata'],
    'discovery cannot be combined with providerMetadata, which replaces it.',
    (given) => given.discovery !== undefined && given.providerMetadata !== undefined,
  ),
  conflict(
    ['issuer', 'providerMetadata'],
    'providerMetadata must have the issuer of the option issuer.',
    ({ issuer: own, providerMetadata: given }) => given !== undefined && given.issuer !== own,
  ),
  conflict(
    ['introspection', 'providerMetadata'],
    'introspection needs introspection_endpoint in providerMetadata.',
    ({ introspection, providerMetadata: given }) =>
      introspection !== undefined && given !== undefined && given.introspection_endpoint === undefined,
  ),
  conflict(
    ['introspection'],
    'introspection needs clientSecret, clientKeys, clientAssertion or tlsClientCertificate, whichever its ' +
      "tokenEndpointAuthMethod uses (RFC 7662 2.1); 'none' needs nothing.",
    ({ introspection: given }) => given !== undefined && given[credentialOf(given)] === undefined,
  ),
  conflict(
    ['introspection'],
    "introspection.clientAssertion needs tokenEndpointAuthMethod 'private_key_jwt'.",
    ({ introspection: given }) =>
      given?.clientAssertion !== undefined && given.tokenEndpointAuthMethod !== 'private_key_jwt',
  ),
  conflict(
    ['introspection'],
    'introspection.clientAssertion cannot be combined with tokenEndpointAuthSigningAlg. Your function chooses the algorithm.',
    ({ introspection: given }) =>
      given?.clientAssertion !== undefined && given.tokenEndpointAuthSigningAlg !== undefined,
  ),
]

/** What a method authenticates with. Without a method, the secret is sent. */
function credentialOf({
  tokenEndpointAuthMethod: method = 'client_secret_basic',
  clientAssertion,
}: IntrospectionOptions): keyof IntrospectionOptions {
  if (method === 'none') return 'clientId'
  if (method === 'private_key_jwt') return clientAssertion === undefined ? 'clientKeys' : 'clientAssertion'
  return method.startsWith('client_secret') ? 'clientSecret' : 'tlsClientCertificate'
}
