import { ConfigError } from '../errors.ts'
import { algorithmsOfKind, usesClientSecret } from '../jose/algorithms.ts'
import { allowsUse, findKeyKind, type JwkMembers } from '../jose/jwk.ts'
import { clientMetadataOf } from '../options/client-document.ts'
import type { Config } from '../options/config.ts'
import { parseOptions } from '../options/parse-options.ts'
import { escapeForTerminal, formatMembers } from './output.ts'
import type { ProbeOutcome } from './redirect-uri-probe.ts'
import {
  authMethodFor,
  idTokenAlgFor,
  type Metadata,
  type SuggestedOption,
  textsIn,
  toCode,
  toOptions,
} from './suggested-options.ts'

/** What was found out at a provider. */
export interface Findings {
  readonly issuer: string
  readonly metadataUrl: string
  readonly metadata: Metadata
  /** The members of `jwks_uri`; `undefined` if it could not be read. */
  readonly keys: readonly JwkMembers[] | undefined
  /** By how many seconds the clock of the provider is ahead; `undefined` if it does not say. */
  readonly clockDifference: number | undefined
  readonly suggested: readonly SuggestedOption[]
  /** `undefined` if the authorization endpoint was not asked. */
  readonly probe: ProbeOutcome | undefined
}

/** What `check` prints. It contains no secret. */
export interface ProviderReport {
  readonly issuer: string
  readonly metadataUrl: string
  readonly clockDifference: number | undefined
  /** What the provider supports, by the name of the feature. */
  readonly supports: Readonly<Record<string, string>>
  /** What to register at the provider, by wire names. */
  readonly register: Readonly<Record<string, unknown>>
  /** Where in its console, if that is known. */
  readonly registerAt: string | undefined
  /** The options to paste. */
  readonly code: string
  /** Why logins will fail. */
  readonly problems: readonly string[]
  /** What else will not work. */
  readonly limits: readonly string[]
}

/** Judges the findings. Sends no request. */
export function reportOn(findings: Findings): ProviderReport {
  const { issuer, metadataUrl, clockDifference, metadata, suggested } = findings
  const { config, problems } = tryOptions(suggested)
  return {
    ...{ issuer, metadataUrl, clockDifference },
    supports: featuresOf(findings),
    register: config === undefined ? {} : registrationOf(config, metadata),
    registerAt: CONSOLES.find(([host]) => host.test(issuer))?.[1],
    code: toCode(suggested),
    problems: [...problems, ...findProblems(findings, config)],
    limits: findLimits(metadata),
  }
}

function tryOptions(suggested: readonly SuggestedOption[]): {
  readonly config: Config | undefined
  readonly problems: readonly string[]
} {
  try {
    return { config: parseOptions(toOptions(suggested)).clients[0], problems: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { config: undefined, problems: error.faults }
  }
}

/** What to register. The URLs of logouts by the provider are among it if the provider sends any. */
function registrationOf(config: Config, metadata: Metadata): Readonly<Record<string, unknown>> {
  const isUseful = (member: string): boolean => {
    const [, channel] = /^(backchannel|frontchannel)_logout_/.exec(member) ?? []
    return member !== 'client_name' && (channel === undefined || metadata[`${channel}_logout_supported`] === true)
  }
  return Object.fromEntries(Object.entries(clientMetadataOf(config)).filter(([member]) => isUseful(member)))
}

/** Where the consoles of well-known providers have the redirect URIs. */
const CONSOLES: readonly (readonly [issuer: RegExp, place: string])[] = [
  [/\.(?:okta|oktapreview|okta-emea)\.com/, 'Okta: Applications > your app > General > Login'],
  [/\.auth0\.com/, 'Auth0: Applications > your app > Settings > Application URIs'],
  [/login\.microsoftonline\.com/, 'Entra ID: App registrations > your app > Authentication > Web'],
  [/accounts\.google\.com/, 'Google Cloud: APIs & Services > Credentials > your OAuth client'],
  [/\/realms\//, 'Keycloak: Clients > your client > Settings > Access settings'],
  [/cognito-idp\./, 'Cognito: User pools > App clients > your client > Login pages'],
]

function featuresOf({ metadata, keys }: Findings): Readonly<Record<string, string>> {
  const list = (member: string, unstated: string): string => textsIn(metadata, member)?.join(', ') || unstated
  const has = (member: string): string => (metadata[member] === undefined ? 'no' : 'yes')
  const says = (member: string): string => (metadata[member] === true ? 'yes' : 'no')
  return {
    'Response types': list('response_types_supported', 'not stated'),
    PKCE: list('code_challenge_methods_supported', 'not stated'),
    'ID Token signatures': list('id_token_signing_alg_values_supported', 'not stated'),
    'Published keys': keys === undefined ? 'not readable' : String(keys.length),
    'Client authentication': list('token_endpoint_auth_methods_supported', 'client_secret_basic (not stated)'),
    Scopes: list('scopes_supported', 'not stated'),
    'Refresh tokens': grantTypesOf(metadata).includes('refresh_token') ? 'yes' : 'no',
    UserInfo: has('userinfo_endpoint'),
    'Logout at the provider': has('end_session_endpoint'),
    'Back-channel logout': says('backchannel_logout_supported'),
    'Front-channel logout': says('frontchannel_logout_supported'),
    'Session check in a frame': has('check_session_iframe'),
    'Token revocation': has('revocation_endpoint'),
    'Pushed authorization requests': pushedRequests(metadata),
    DPoP: list('dpop_signing_alg_values_supported', 'no'),
    'iss in the response': says('authorization_response_iss_parameter_supported'),
    'Registration by request': has('registration_endpoint'),
  }
}

function pushedRequests(metadata: Metadata): string {
  if (metadata['require_pushed_authorization_requests'] === true) return 'required'
  return metadata['pushed_authorization_request_endpoint'] === undefined ? 'no' : 'yes'
}

/** OIDC Discovery 3 has a default. */
function grantTypesOf(metadata: Metadata): readonly string[] {
  return textsIn(metadata, 'grant_types_supported') ?? ['authorization_code', 'implicit']
}

function findProblems(findings: Findings, config: Config | undefined): readonly string[] {
  const { metadata, clockDifference = 0, probe } = findings
  const tolerance = config?.clockTolerance ?? 0
  const methods = textsIn(metadata, 'token_endpoint_auth_methods_supported')
  const challenges = textsIn(metadata, 'code_challenge_methods_supported')
  const problems: readonly (readonly [isProblem: boolean, sentence: string])[] = [
    [
      config !== undefined && Math.abs(clockDifference) > tolerance,
      `The clock of the provider is ${describeDifference(clockDifference)} this one. ` +
        `ID Tokens are refused beyond ${tolerance} seconds (option clockTolerance). Correct the clock of this machine.`,
    ],
    [
      methods?.includes(authMethodFor(metadata)) === false,
      'The client must authenticate in another way. See tokenEndpointAuthMethod, and tlsClientCertificate for a certificate.',
    ],
    [
      challenges?.includes('S256') === false,
      'The provider does not support PKCE with S256. If it refuses logins, see dangerouslyDisablePkce.',
    ],
    ...keyProblems(findings),
    [
      metadata['require_signed_request_object'] === true,
      'The provider requires signed requests. Set requestObjectSigningAlg.',
    ],
    ...probeProblems(probe),
  ]
  return problems.flatMap(([isProblem, sentence]) => (isProblem ? [sentence] : []))
}

function keyProblems({ metadata, keys }: Findings): readonly (readonly [boolean, string])[] {
  const alg = idTokenAlgFor(metadata)
  if (alg === undefined)
    return [[true, 'The provider signs ID Tokens with algorithms that this library does not verify.']]
  const hasKey = keys?.some((key) => canVerify(key, alg))
  return [
    [keys === undefined, 'The keys of the provider could not be read from jwks_uri, so no ID Token can be verified.'],
    [hasKey === false && !usesClientSecret(alg), `The provider publishes no key for ${alg} at jwks_uri.`],
  ]
}

function canVerify(key: JwkMembers, alg: string): boolean {
  const kind = findKeyKind(key)
  if (kind === undefined || !allowsUse(key, 'sig', 'public')) return false
  return (key['alg'] === undefined || key['alg'] === alg) && algorithmsOfKind(kind, 'sig').includes(alg)
}

function probeProblems(probe: ProbeOutcome | undefined): readonly (readonly [boolean, string])[] {
  if (probe?.kind === 'refused') {
    const reason = 'It does not know the client ID, or the redirect URI is not registered.'
    return [[true, `The provider refuses the authorization request (${probe.status}). ${reason}`]]
  }
  if (probe?.kind !== 'error') return []
  return [[true, `The provider refuses the authorization request: ${escapeForTerminal(probe.error).slice(0, 80)}.`]]
}

function findLimits(metadata: Metadata): readonly string[] {
  const lacks = (member: string): boolean => metadata[member] === undefined
  const limits: readonly (readonly [isLimit: boolean, sentence: string])[] = [
    [
      lacks('end_session_endpoint'),
      'Logout at the provider: a logout ends the login here only. The next login may need no password.',
    ],
    [
      metadata['backchannel_logout_supported'] !== true,
      'Back-channel logout: a logout at the provider ends no login here. See checkSession().',
    ],
    [lacks('userinfo_endpoint'), 'UserInfo: only the claims of the ID Token are available.'],
    [
      !grantTypesOf(metadata).includes('refresh_token'),
      'Refresh tokens: accessToken() cannot renew an access token that has expired.',
    ],
    [lacks('revocation_endpoint'), 'Token revocation: tokens stay valid after a logout until they expire.'],
  ]
  return limits.flatMap(([isLimit, sentence]) => (isLimit ? [sentence] : []))
}

/** `2 seconds ahead of`, `about 60 minutes behind`. */
export function describeDifference(seconds: number): string {
  const distance = Math.abs(seconds)
  const amount = distance < 120 ? `${distance} seconds` : `about ${Math.round(distance / 60)} minutes`
  return `${amount} ${seconds < 0 ? 'behind' : 'ahead of'}`
}

const PROBE_TEXTS: Readonly<Record<ProbeOutcome['kind'], string>> = {
  known: 'The provider knows this client ID and redirect URI.',
  refused: 'The provider refuses this client ID or redirect URI.',
  error: 'The provider knows this client ID and redirect URI, but refuses the request.',
  unclear: 'The provider does not say whether it knows this client ID and redirect URI.',
}

/** The report as text, for people. */
export function formatReport(report: ProviderReport, probe: ProbeOutcome | undefined): string {
  const { issuer, metadataUrl, clockDifference: difference, supports, register, registerAt, code } = report
  const clock =
    difference === undefined
      ? 'The provider does not say what time it is.'
      : Math.abs(difference) < 2
        ? 'The clocks agree.'
        : `The clock of the provider is ${describeDifference(difference)} this one.`
  return [
    `${issuer}\n${metadataUrl}\n${clock}\n`,
    `What the provider supports\n\n${indent(formatMembers(supports, {}))}`,
    `What to register${registerAt ? ` (${registerAt})` : ''}\n\n${indent(formatMembers(register, {}))}${probe ? `\n${PROBE_TEXTS[probe.kind]}\n` : ''}`,
    `Options\n\n${indent(`${code}\n`)}`,
    section('What will not work', report.limits),
    section('Logins will fail', report.problems),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

function section(title: string, sentences: readonly string[]): string {
  return sentences.length === 0 ? '' : `${title}\n\n${sentences.map((sentence) => `  - ${sentence}\n`).join('')}`
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}
