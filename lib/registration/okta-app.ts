import type { ClientMetadata } from '../client-metadata.ts'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject } from '../json-object.ts'

/** Which members are in `credentials.oauthClient`; all others are in `settings.oauthClient`. */
const CREDENTIALS: readonly string[] = ['client_id', 'client_secret', 'token_endpoint_auth_method']

/** What registration knows and the Apps API does not: the provider makes it, or this library. */
const NOT_SENT: readonly string[] = ['client_id_issued_at', 'client_secret_expires_at', 'registeredAt']

/**
 * The app of Okta's Apps API (`POST https://{domain}/api/v1/apps`) for what would be registered. Apps made there differ
 * in two things: nobody is asked for consent unless `consent_method` is `REQUIRED`, while registration has that by itself,
 * and people must be assigned. So `consent_method` is filled in as registration has it.
 */
export function toOktaApp(metadata: ClientMetadata): JsonObject {
  const { client_name: label, ...members } = metadata
  const sent = Object.entries(members).filter(([name, value]) => isPresent(value) && !NOT_SENT.includes(name))
  const isCredential = ([name]: readonly [string, unknown]): boolean => CREDENTIALS.includes(name)
  const credentials = sent.filter(isCredential)
  const settings = sent.filter((entry) => !isCredential(entry))
  return {
    name: 'oidc_client',
    signOnMode: 'OPENID_CONNECT',
    ...(label === undefined ? {} : { label }),
    credentials: { oauthClient: Object.fromEntries(credentials) as JsonObject },
    settings: { oauthClient: { consent_method: 'REQUIRED', ...(Object.fromEntries(settings) as JsonObject) } },
  }
}

/**
 * The metadata of a client as registration would have it, out of an app of the Apps API; `null`s are left out, and what
 * registration does not know (status, links, assignments) too.
 */
export function fromOktaApp(app: JsonObject): ClientMetadata {
  const members = [app['settings'], app['credentials']].flatMap((part) =>
    Object.entries(member(part, 'oauthClient')).filter(([, value]) => isPresent(value)),
  )
  const label = app['label']
  return { ...(typeof label === 'string' ? { client_name: label } : {}), ...Object.fromEntries(members) }
}

function member(value: Json | undefined, name: string): JsonObject {
  const found = isObject(value) ? value[name] : undefined
  return isObject(found) ? found : {}
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined
}
