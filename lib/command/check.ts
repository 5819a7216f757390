import { OidcError } from '../errors.ts'
import { isObject, type JsonObject, presentMembers } from '../jose/json.ts'
import type { JwkMembers } from '../jose/jwk.ts'
import type { Config } from '../options/config.ts'
import { parseOptions } from '../options/parse-options.ts'
import type { ConnectionSettings } from '../provider/connections.ts'
import { adviseOnDiscovery, checkMetadata, discoveryUrl } from '../provider/discovery.ts'
import { createHttpClient, type HttpClient } from '../provider/http-client.ts'
import type { ResponseHeaders } from '../provider/http-transport.ts'
import { type Arguments, readAuthorities, textOf, UsageError, type Values } from './arguments.ts'
import { formatJson, type Terminal } from './output.ts'
import { formatReport, reportOn } from './provider-report.ts'
import { type ProbeOutcome, probeRedirectUri } from './redirect-uri-probe.ts'
import { type Asked, type SuggestedOption, suggestOptions, toOptions } from './suggested-options.ts'

/**
 * `check`: asks a provider what it supports, and prints what to register there, the options for it, and what will not work.
 * Returns 1 if logins will fail.
 */
export async function checkCommand({ values }: Arguments, terminal: Terminal): Promise<0 | 1> {
  const asked = readAsked(values)
  const authorities = await readAuthorities(values)
  const dangerouslyAllowInsecureRequests = values['insecure'] === true
  const first = configFor(suggestOptions(asked, {}, 'oidc'))
  const http = createHttpClient({
    timeout: first.timeout,
    fetch: undefined,
    dangerouslyAllowInsecureRequests,
    ...authorities,
  })
  const { document, metadataUrl, clockDifference, discovery } = await discover(http, first)
  const suggested = suggestOptions(asked, document, discovery)
  const config = { ...configFor(suggested), dangerouslyAllowInsecureRequests }
  const metadata = checkMetadata(document, config)
  const keys = await readKeys(http, String(metadata.jwks_uri))
  const probe = asked.clientId === undefined ? undefined : await askAbout(config, metadata, authorities)
  const report = reportOn({ issuer: asked.issuer, metadataUrl, metadata, keys, clockDifference, suggested, probe })
  terminal.print(values['json'] === true ? formatJson({ ...report, client: probe?.kind }) : formatReport(report, probe))
  return report.problems.length === 0 ? 0 : 1
}

function readAsked(values: Values): Asked {
  const issuer = textOf(values, 'issuer')
  const baseUrl = textOf(values, 'base-url') ?? 'http://localhost:3000'
  if (issuer === undefined) throw new UsageError('--issuer is missing.')
  if (issuer.startsWith('http:') && values['insecure'] !== true) {
    throw new UsageError('--issuer must be an https URL. In development, --insecure allows plain http.')
  }
  return { issuer, clientId: textOf(values, 'client-id'), baseUrl, callback: textOf(values, 'callback') }
}

function configFor(suggested: readonly SuggestedOption[]): Config {
  const [config] = parseOptions(toOptions(suggested)).clients
  if (config === undefined) throw new UsageError('--issuer is missing.')
  return config
}

interface Discovered {
  readonly document: JsonObject
  readonly metadataUrl: string
  readonly discovery: 'oidc' | 'oauth2'
  readonly clockDifference: number | undefined
}

/** Reads the metadata where OIDC Discovery 4 puts it, or else RFC 8414. */
async function discover(http: HttpClient, config: Config): Promise<Discovered> {
  return await readMetadata(http, config, 'oidc').catch((error: unknown) => {
    const isAbsent = error instanceof OidcError && error.code === 'ERR_OIDC_PROVIDER_STATUS'
    const other = isAbsent ? readMetadata(http, config, 'oauth2') : Promise.reject(error)
    return other.catch(() => adviseOnDiscovery(config)(error))
  })
}

async function readMetadata(http: HttpClient, config: Config, discovery: 'oidc' | 'oauth2'): Promise<Discovered> {
  const metadataUrl = discoveryUrl({ issuer: config.issuer, discovery })
  const askedAt = Date.now()
  const { json, headers } = await http.getJson(metadataUrl)
  const clockDifference = differenceTo(headers, (askedAt + Date.now()) / 2)
  return { document: presentMembers(json), metadataUrl, discovery, clockDifference }
}

/**
 * By how many seconds the server's clock is ahead. `Date` is cut to whole seconds. A cache adds how long ago that was in `Age`
 * (RFC 9111 5.1).
 */
function differenceTo(headers: ResponseHeaders, ownMilliseconds: number): number | undefined {
  const date = Date.parse(headers.get('date') ?? '')
  const age = Number(headers.get('age') ?? 0)
  const seconds = Math.round((date + 500 - ownMilliseconds) / 1000 + age)
  return Number.isFinite(seconds) ? seconds : undefined
}

/** What is not a key is left out. `undefined` if there is no key set. */
async function readKeys(http: HttpClient, jwksUri: string): Promise<readonly JwkMembers[] | undefined> {
  const keys: unknown = await http.getJson(jwksUri).then(
    ({ json }) => json['keys'],
    () => undefined,
  )
  return Array.isArray(keys) ? keys.filter(isObject) : undefined
}

/** Not if the provider takes no plain authorization request. */
async function askAbout(
  config: Config,
  metadata: Readonly<Record<string, unknown>> & { readonly authorization_endpoint: string },
  connections: ConnectionSettings,
): Promise<ProbeOutcome | undefined> {
  const needsMore = metadata['require_signed_request_object'] === true || config.requirePushedAuthorizationRequests
  if (config.responseType !== 'code' || needsMore) return undefined
  return await probeRedirectUri(metadata.authorization_endpoint, config, connections)
}
