import { generateKeyPairSync } from 'node:crypto'
import { SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import { isObject } from '../jose/json.ts'
import { findResponseType, RESPONSE_TYPES } from '../options/response-type.ts'

/** The metadata of a provider, or what is known of it. */
export type Metadata = Readonly<Record<string, unknown>>

/** What the developer said on the command line. */
export interface Asked {
  readonly issuer: string
  readonly clientId: string | undefined
  readonly baseUrl: string
  /** The path of the callback, if it is not the default. */
  readonly callback?: string | undefined
}

/** One option for this provider. */
export interface SuggestedOption {
  readonly name: string
  /** A value that `oidc()` accepts. It is never a secret of the developer: that one is in `variable`. */
  readonly value: unknown
  /** The environment variable that the printed block reads the value from. */
  readonly variable?: string
  /** What stands around the variable, if the value is not its text. */
  readonly wrap?: (variable: string) => string
}

/**
 * The options that this provider needs: the required ones, and those whose default it does not support. Where its metadata says
 * nothing, the defaults of OIDC Discovery 3 hold.
 */
export function suggestOptions(
  asked: Asked,
  metadata: Metadata,
  discovery: 'oidc' | 'oauth2',
): readonly SuggestedOption[] {
  const { issuer, clientId, baseUrl, callback } = asked
  const isInsecure = [issuer, baseUrl].some((url) => url.startsWith('http:'))
  return [
    { name: 'issuer', value: issuer },
    clientId === undefined
      ? { name: 'clientId', value: 'client', variable: 'OIDC_CLIENT_ID' }
      : { name: 'clientId', value: clientId },
    ...credentials(metadata),
    { name: 'secret', value: 'x'.repeat(43), variable: 'OIDC_SECRET' },
    { name: 'baseUrl', value: baseUrl },
    ...(callback === undefined ? [] : [{ name: 'routes', value: { callback } }]),
    ...(discovery === 'oauth2' ? [{ name: 'discovery', value: discovery }] : []),
    ...flow(metadata),
    ...scope(metadata),
    ...idTokenAlgorithm(metadata),
    ...(isInsecure ? [{ name: 'dangerouslyAllowInsecureRequests', value: true }] : []),
  ]
}

/** The texts in a member that is a list; `undefined` if the provider does not say. */
export function textsIn(metadata: Metadata, member: string): readonly string[] | undefined {
  const value = metadata[member]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined
}

/** The client authentication to use: the first that the provider supports, the usual one first. */
export function authMethodFor(metadata: Metadata): string {
  // OIDC Discovery 3: client_secret_basic if the member is absent.
  const supported = textsIn(metadata, 'token_endpoint_auth_methods_supported') ?? []
  return AUTH_METHODS.find((method) => supported.includes(method)) ?? 'client_secret_basic'
}

/** Those with a client certificate are left out: only the developer knows where it is. */
const AUTH_METHODS: readonly string[] = [
  ...['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'client_secret_jwt', 'none'],
]

/** The algorithm of ID Tokens: RS256 if the provider has it, else the first that can be verified; `undefined` if none can. */
export function idTokenAlgFor(metadata: Metadata): string | undefined {
  const supported = textsIn(metadata, 'id_token_signing_alg_values_supported') ?? ['RS256']
  if (supported.includes('RS256')) return 'RS256'
  const known = SIGNATURE_ALGORITHMS.filter((alg) => supported.includes(alg))
  return known.find((alg) => !usesClientSecret(alg)) ?? known[0]
}

function credentials(metadata: Metadata): readonly SuggestedOption[] {
  const method = authMethodFor(metadata)
  const choice = method === 'client_secret_basic' ? [] : [{ name: 'tokenEndpointAuthMethod', value: method }]
  if (method === 'none') return []
  if (method === 'private_key_jwt') return [...choice, clientKey()]
  return [...choice, { name: 'clientSecret', value: 'x'.repeat(43), variable: 'OIDC_CLIENT_SECRET' }]
}

function clientKey(): SuggestedOption {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'key', use: 'sig', alg: 'ES256' }
  return { name: 'clientKeys', value: [jwk], variable: 'OIDC_CLIENT_KEY', wrap: (name) => `[JSON.parse(${name})]` }
}

/** The response type, and how the request and the response travel. */
function flow(metadata: Metadata): readonly SuggestedOption[] {
  const types = textsIn(metadata, 'response_types_supported')?.map((type) => findResponseType(type)) ?? ['code']
  const type = RESPONSE_TYPES.find((one) => types.includes(one)) ?? 'code'
  const modes = textsIn(metadata, 'response_modes_supported')
  const needsForm = type === 'code' && modes?.includes('query') === false && modes.includes('form_post')
  return [
    ...(type === 'code' ? [] : [{ name: 'responseType', value: type }]),
    ...(needsForm ? [{ name: 'responseMode', value: 'form_post' }] : []),
    ...(metadata['require_pushed_authorization_requests'] === true
      ? [{ name: 'requirePushedAuthorizationRequests', value: true }]
      : []),
  ]
}

const USUAL_SCOPES = ['openid', 'profile', 'email']

/** Left out are only those of the usual scopes that a complete list does not have. */
function scope(metadata: Metadata): readonly SuggestedOption[] {
  const supported = textsIn(metadata, 'scopes_supported')
  const wanted = USUAL_SCOPES.filter((one) => one === 'openid' || supported?.includes(one) !== false)
  return wanted.length === USUAL_SCOPES.length ? [] : [{ name: 'scope', value: wanted.join(' ') }]
}

function idTokenAlgorithm(metadata: Metadata): readonly SuggestedOption[] {
  const alg = idTokenAlgFor(metadata)
  return alg === undefined || alg === 'RS256' ? [] : [{ name: 'idTokenSignedResponseAlg', value: alg }]
}

/** The options as an object, with a made-up value for each secret. */
export function toOptions(suggested: readonly SuggestedOption[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(suggested.map(({ name, value }) => [name, value]))
}

/** The options as code to paste. Secrets are read from the environment. */
export function toCode(suggested: readonly SuggestedOption[]): string {
  const variables = suggested.flatMap(({ variable }) => (variable === undefined ? [] : [`${variable} = ''`]))
  const lines = suggested.map(({ name, value, variable, wrap = (text) => text }) => {
    return `    ${name}: ${variable === undefined ? literal(value) : wrap(variable)},`
  })
  return [
    "import { oidc } from 'express-oidc'",
    '',
    `const { ${variables.join(', ')} } = process.env`,
    '',
    ...['app.use(', '  oidc({', ...lines, '  }),', ')'],
  ].join('\n')
}

/** A value in the style of the documentation. Text from the command line is escaped as in JSON. */
function literal(value: unknown): string {
  if (isObject(value)) {
    const members = Object.entries(value).map(([name, member]) => `${name}: ${literal(member)}`)
    return `{ ${members.join(', ')} }`
  }
  const json = JSON.stringify(value)
  if (typeof value !== 'string') return json
  return `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}
