import type { JsonWebKey, KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSigningKeys, type SigningKey, type SigningKeys, signJws } from '../app/signing-keys.ts'
import { listen, sendJson } from './http-server.ts'

type Members = Readonly<Record<string, unknown>>

/** How a token is signed, where it is not the usual: ES256, with the key that the issuer publishes. */
export interface Signing {
  readonly alg?: string
  readonly key?: KeyObject | string
  readonly kid?: string | undefined
  /** Members of the header; `undefined` leaves one out. */
  readonly header?: Members
}

/** An authorization server that issues access tokens as JWTs. It only publishes metadata and keys. */
export interface TokenIssuer {
  readonly issuer: string
  readonly audience: string
  readonly keys: SigningKeys
  /** A token as RFC 9068 has it. `claims` change single claims; `undefined` leaves one out. */
  token(claims?: Members, signing?: Signing): string
  /** The claims of such a token. */
  claims(change?: Members): Members
  /** What it publishes at the moment, and what it does wrong. Assign members to change it. */
  readonly state: {
    jwks: readonly JsonWebKey[]
    /** Members of the metadata that differ. */
    metadata: Members
    /** The status of every response; 200 unless it is down. */
    status: number
    /** Further routes, by path. */
    routes: Record<string, (req: IncomingMessage, res: ServerResponse) => void>
  }
  /** The paths that were requested, in order. */
  readonly requests: string[]
  /** Puts everything back as it was. */
  reset(): void
  stop(): Promise<void>
}

export const AUDIENCE = 'https://api.example.test'

/** Starts an issuer. `path` is the path of its issuer identifier: `/tenant`. */
export async function startTokenIssuer({ path = '' }: { path?: string } = {}): Promise<TokenIssuer> {
  const keys = createSigningKeys()
  const requests: string[] = []
  const published = [keys.p256.jwk, keys.rsa.jwk]
  const state: TokenIssuer['state'] = { jwks: published, metadata: {}, status: 200, routes: {} }
  const server = createServer((req, res) => {
    const url = req.url ?? ''
    requests.push(url)
    const route = state.routes[url]
    if (state.status !== 200) sendJson(res, state.status, { error: 'down' })
    else if (route !== undefined) route(req, res)
    else if (url.includes('/.well-known/')) sendJson(res, 200, { ...metadataOf(), ...state.metadata })
    else if (url.startsWith('/jwks')) sendJson(res, 200, { keys: state.jwks })
    else sendJson(res, 404, {})
  })
  const { port, stop } = await listen(server)
  const origin = `http://127.0.0.1:${port}`
  const issuer = origin + path

  function metadataOf(): Members {
    return { issuer, jwks_uri: `${origin}/jwks`, introspection_endpoint: `${origin}/introspect` }
  }

  function claims(change: Members = {}): Members {
    return { ...rfc9068Claims(issuer), ...change }
  }

  return {
    issuer,
    audience: AUDIENCE,
    keys,
    claims,
    token: (change, signing) => signToken(keys.p256, claims(change), signing),
    state,
    requests,
    reset: () => Object.assign(state, { jwks: published, metadata: {}, status: 200, routes: {} }),
    stop,
  }
}

/** The claims of a token of RFC 9068 2.2 that was issued just now. */
export function rfc9068Claims(issuer: string): Members {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'alice',
    client_id: 'cli-1',
    iat: now,
    exp: now + 300,
    jti: 'a-jti',
    scope: 'orders:read profile',
  }
}

/** Signs a token with this key, as `at+jwt`. */
export function signToken(key: SigningKey, claims: Members, signing: Signing = {}): string {
  const { alg = 'ES256', kid = key.kid, header = {} } = signing
  return signJws(alg, signing.key ?? key.privateKey, { alg, kid, typ: 'at+jwt', ...header }, claims)
}
