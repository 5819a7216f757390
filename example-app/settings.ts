import { randomBytes } from 'node:crypto'

/** How the app is registered at a provider that is not embedded. */
export interface RegisteredClient {
  readonly issuer: string
  /** Absent: the app registers itself, and keeps its client in `clientStore`. */
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
  readonly scope: string | undefined
  /** The folder of the client store. */
  readonly clientStore: string
  /** What the access tokens of the provider name the API of this app. Absent: the API takes sessions only. */
  readonly apiAudience: string | undefined
  /** The token that the registration needs, if the provider protects it. */
  readonly initialAccessToken: string | undefined
}

/** The checked environment variables. */
export interface Settings {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
  /** The app's origin as browsers see it. Absent: `http://localhost:<port>`. */
  readonly baseUrl: string | undefined
  readonly sessionSecret: string
  readonly oidcSecret: string
  readonly redisUrl: string | undefined
  readonly providerPort: number
  readonly partnerPort: number
  /** Absent: the example starts two embedded providers. */
  readonly client: RegisteredClient | undefined
}

/** An environment variable is wrong. The message is one sentence for the developer who set it. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the environment variables that the README of this folder lists. */
export function readSettings(env: Environment): Settings {
  const redisUrl = readUrl(env, 'REDIS_URL', ['redis:', 'rediss:'])
  return {
    port: readPort(env, 'PORT', 3000),
    host: env['HOST'] || 'localhost',
    baseUrl: readOrigin(env, 'BASE_URL'),
    ...readSecrets(env, redisUrl),
    redisUrl,
    providerPort: readPort(env, 'PROVIDER_PORT', 3001),
    partnerPort: readPort(env, 'PARTNER_PORT', 3002),
    client: readClient(env),
  }
}

function readPort(env: Environment, name: string, fallback: number): number {
  const text = env[name]
  if (!text) return fallback
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new SettingsError(`${name} must be a port number from 0 (any free port) to 65535.`)
}

function readUrl(env: Environment, name: string, protocols: readonly string[]): string | undefined {
  const text = env[name]
  if (!text) return undefined
  if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text
  throw new SettingsError(`${name} must be an absolute URL that begins with ${protocols.join('// or ')}//.`)
}

function readOrigin(env: Environment, name: string): string | undefined {
  const text = readUrl(env, name, ['https:', 'http:'])
  if (text === undefined) return undefined
  const { origin, href } = new URL(text)
  if (href === `${origin}/`) return origin
  throw new SettingsError(`${name} must be scheme, host and port alone, without a path or a query.`)
}

/** Two secrets, because each has one purpose: one signs the session cookie, the other encrypts logins and tokens. */
function readSecrets(env: Environment, redisUrl: string | undefined): Pick<Settings, 'sessionSecret' | 'oidcSecret'> {
  const sessionSecret = readSecret(env, 'SESSION_SECRET', redisUrl)
  const oidcSecret = readSecret(env, 'OIDC_SECRET', redisUrl)
  if (sessionSecret !== oidcSecret) return { sessionSecret, oidcSecret }
  throw new SettingsError('OIDC_SECRET must be another secret than SESSION_SECRET.')
}

function readSecret(env: Environment, name: string, redisUrl: string | undefined): string {
  const secret = env[name]
  if (secret && secret.length < 32) throw new SettingsError(`${name} must have at least 32 characters.`)
  if (!secret && redisUrl) {
    throw new SettingsError(`REDIS_URL needs ${name} too, the same one on every node that shares the sessions.`)
  }
  return secret || randomBytes(32).toString('base64url')
}

function readClient(env: Environment): RegisteredClient | undefined {
  const issuer = readUrl(env, 'ISSUER', ['https:', 'http:'])
  const clientId = env['CLIENT_ID'] || undefined
  const clientSecret = env['CLIENT_SECRET'] || undefined
  const scope = env['SCOPE'] || undefined
  const clientStore = env['CLIENT_STORE'] || '.harbourline'
  const apiAudience = env['API_AUDIENCE'] || undefined
  const initialAccessToken = env['INITIAL_ACCESS_TOKEN'] || undefined
  if (issuer && clientSecret && !clientId) throw new SettingsError('CLIENT_SECRET needs CLIENT_ID too.')
  if (issuer) return { issuer, clientId, clientSecret, scope, clientStore, apiAudience, initialAccessToken }
  const names = ['CLIENT_ID', 'CLIENT_SECRET', 'SCOPE', 'CLIENT_STORE', 'API_AUDIENCE', 'INITIAL_ACCESS_TOKEN']
  const orphan = names.find((name) => env[name])
  if (orphan)
    throw new SettingsError(`${orphan} is set but ISSUER is not: set both, or none for the embedded providers.`)
  return undefined
}
