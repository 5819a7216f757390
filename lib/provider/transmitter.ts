import { ProviderError, shown } from '../errors.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { createCachedDocument } from './cached-document.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import { createKeyStore, type KeyStore } from './keys.ts'

/** Who sends security events about the users of a provider (Shared Signals Framework 1.0), with its current keys. */
export interface Transmitter {
  readonly issuer: string
  readonly keys: KeyStore
  /** The members of a subject without which an event must not be used (SSF 7.1, `critical_subject_members`). */
  readonly criticalSubjectMembers: readonly string[]
}

/** Finds the transmitter of a provider: by its configuration document at the first call, and again when that has expired. */
export interface FindTransmitter {
  (): Promise<Transmitter>
  /** Ends the renewal of the document and keys in the background. */
  stop(): void
}

type CheckedConfig = Pick<Config, 'issuer' | 'sharedSignals' | 'dangerouslyAllowInsecureRequests'>

type TransmitterConfig = CheckedConfig & Parameters<typeof createHttpClient>[0]

/** Creates the function that finds the transmitter. It sends no request before its first call. */
export function createTransmitterFinder(config: TransmitterConfig): FindTransmitter {
  const http = createHttpClient(config)
  const issuer = transmitterIssuer(config)
  let keys: { readonly uri: string; readonly store: KeyStore } | undefined
  let isStopped = false
  const document = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(configurationUrl(config))
      const { jwksUri, criticalSubjectMembers } = checkConfiguration(json, config)
      if (keys?.uri !== jwksUri) {
        keys?.store.stop()
        keys = { uri: jwksUri, store: createKeyStore(http, jwksUri, { issuer }) }
        if (isStopped) keys.store.stop()
      }
      return { value: { issuer, keys: keys.store, criticalSubjectMembers }, headers }
    },
    label: { document: 'metadata', issuer },
  })
  return Object.assign(() => document.get(), {
    stop() {
      isStopped = true
      document.stop()
      keys?.store.stop()
    },
  })
}

/** Fetches the configuration document of a transmitter and checks it. Throws `ERR_OIDC_TRANSMITTER_METADATA`. */
export async function readConfiguration(http: Pick<HttpClient, 'getJson'>, config: CheckedConfig): Promise<JsonObject> {
  const { json } = await http.getJson(configurationUrl(config))
  checkConfiguration(json, config)
  return json
}

/** The issuer of the events about the users of this provider. */
export function transmitterIssuer({ issuer, sharedSignals }: Pick<Config, 'issuer' | 'sharedSignals'>): string {
  return sharedSignals?.issuer ?? issuer
}

/** SSF 7.2.1: the well-known path precedes the path of the issuer. */
export function configurationUrl(config: Pick<Config, 'issuer' | 'sharedSignals'>): string {
  const given = config.sharedSignals?.configurationUrl
  if (given !== undefined) return given
  const { origin, pathname } = new URL(transmitterIssuer(config))
  return `${origin}/.well-known/ssf-configuration${pathname.replace(/\/$/, '')}`
}

/** SSF 7.2.4: the issuer must be equal, or the keys could be those of anybody. */
function checkConfiguration(
  given: JsonObject,
  config: CheckedConfig,
): { readonly jwksUri: string; readonly criticalSubjectMembers: readonly string[] } {
  const { issuer, jwks_uri: jwksUri, critical_subject_members: critical = [] } = presentMembers(given)
  const expected = transmitterIssuer(config)
  if (issuer !== expected) {
    throw invalid(config, `has the issuer ${shown(issuer)}, expected ${shown(expected)}. Check sharedSignals.issuer.`)
  }
  if (!isEndpoint(jwksUri, config)) throw invalid(config, 'has no https URL as jwks_uri.')
  // A member that we do not know is critical all the same, so a list that cannot be read must not count as empty.
  if (!Array.isArray(critical) || !critical.every((member) => typeof member === 'string')) {
    throw invalid(config, 'has critical_subject_members that are not a list of names.')
  }
  return { jwksUri, criticalSubjectMembers: critical }
}

function isEndpoint(url: unknown, config: Pick<Config, 'dangerouslyAllowInsecureRequests'>): url is string {
  if (typeof url !== 'string' || !URL.canParse(url)) return false
  const { protocol } = new URL(url)
  return protocol === 'https:' || (config.dangerouslyAllowInsecureRequests && protocol === 'http:')
}

function invalid(config: CheckedConfig, problem: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_TRANSMITTER_METADATA',
    `The configuration document ${shown(configurationUrl(config))} ${problem}`,
  )
}
