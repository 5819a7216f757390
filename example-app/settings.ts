import { randomBytes } from 'node:crypto'

/** The provider of somebody else that the app is registered at. */
export interface RegisteredClient {
  readonly issuer: string
  /** Absent: the app registers itself, and keeps what it is given in `clientStore`. */
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
  readonly scope: string | undefined
  /** A folder. */
  readonly clientStore: string
  /** What allows to register, where the provider wants that. */
  readonly initialAccessToken: string | undefined
}

/** All that the environment says, checked. */
export interface Settings {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
  /** Where browsers see the app; absent: `http://localhost:<port>`. */
  readonly baseUrl: string | undefined
  readonly sessionSecret: string
  readonly redisUrl: string | undefined
  readonly providerPort: number
  readonly partnerPort: number
  /** Absent: two embedded providers are started. */
  readonly client: RegisteredClient | undefined
}

/** The environment is set wrongly. The message is one sentence for the person who set it. */
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
    sessionSecret: readSessionSecret(env, redisUrl),
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

function readSessionSecret(env: Environment, redisUrl: string | undefined): string {
  const secret = env['SESSION_SECRET']
  if (secret && secret.length < 32) throw new SettingsError('SESSION_SECRET must have at least 32 characters.')
  if (!secret && redisUrl) {
    throw new SettingsError('REDIS_URL needs SESSION_SECRET too, the same one on every node that shares the sessions.')
  }
  return secret || randomBytes(32).toString('base64url')
}

function readClient(env: Environment): RegisteredClient | undefined {
  const issuer = readUrl(env, 'ISSUER', ['https:', 'http:'])
  const clientId = env['CLIENT_ID'] || undefined
  const clientSecret = env['CLIENT_SECRET'] || undefined
  const scope = env['SCOPE'] || undefined
  const clientStore = env['CLIENT_STORE'] || '.harbourline'
  const initialAccessToken = env['INITIAL_ACCESS_TOKEN'] || undefined
  if (issuer && clientSecret && !clientId) throw new SettingsError('CLIENT_SECRET needs CLIENT_ID too.')
  if (issuer) return { issuer, clientId, clientSecret, scope, clientStore, initialAccessToken }
  const names = ['CLIENT_ID', 'CLIENT_SECRET', 'SCOPE', 'CLIENT_STORE', 'INITIAL_ACCESS_TOKEN']
  const orphan = names.find((name) => env[name])
  if (orphan)
    throw new SettingsError(`${orphan} is set but ISSUER is not: set both, or none for the embedded providers.`)
  return undefined
}
