import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSigningKeys, keyForAlg, type SigningKeys, signJws } from '../app/signing-keys.ts'
import { listen } from '../servers/http-server.ts'
import { findFault, type JsonChange, type JsonObject, now, type RawHandler, sendChanged } from './context.ts'

/** What a test changes of the good answers of a claims provider. */
export interface ClaimsChanges {
  discovery?: JsonChange | undefined
  jwks?: JsonChange | undefined
  jwtHeader?: ((header: JsonObject) => JsonObject) | undefined
  jwtClaims?: ((claims: JsonObject) => JsonObject) | undefined
  jwt?: ((jwt: string) => string) | undefined
  /** What UserInfo says of the source: `JWT`, or `endpoint` and `access_token`. */
  source?: ((source: JsonObject) => JsonObject) | undefined
  /** Takes the endpoint of the claims over wholly. */
  raw?: RawHandler | undefined
}

/** Another issuer, which knows some claims about the person (OIDC Core 5.6.2). */
export interface ClaimsProvider {
  readonly issuer: string
  readonly keys: SigningKeys
  /** What the endpoint wants to be shown. */
  readonly accessToken: string
  /** What it says of the person. */
  claims: JsonObject
  readonly change: ClaimsChanges
  readonly complaints: readonly string[]
  /** The paths that were asked for, in order. */
  readonly asked: readonly string[]
  /** The claims as a signed JWT. */
  issue(): string
  /** The same claims of UserInfo, but for those that this provider knows: of them it says where they are. */
  move(claims: JsonObject, by: 'aggregated' | 'distributed'): JsonObject
  reset(): void
  stop(): Promise<void>
}

const PLACE = { street_address: 'Weg 2', locality: 'Graz', country: 'AT' }
const CLAIMS: JsonObject = { address: PLACE, phone_number: '+43 316 7654321', credit_score: 650 }

let made: SigningKeys | undefined

/** Starts one on a port of its own: another origin than the provider's. Its keys are its own too, the same for each. */
export async function startClaimsProvider(alg = 'RS256'): Promise<ClaimsProvider> {
  made ??= createSigningKeys()
  const keys = made
  const complaints: string[] = []
  const asked: string[] = []
  let answer = (_req: IncomingMessage, res: ServerResponse): void => void res.writeHead(503).end()
  const { port, stop } = await listen(createServer((req, res) => answer(req, res)))
  const change: ClaimsChanges = {}
  const provider: ClaimsProvider = {
    issuer: `http://localhost:${port}`,
    keys,
    accessToken: randomBytes(24).toString('base64url'),
    claims: { ...CLAIMS },
    change,
    complaints,
    asked,
    issue: () => issue(provider, alg),
    move: (claims, by) => move(provider, claims, by),
    reset: () => {
      for (const name of Object.keys(change)) Reflect.deleteProperty(change, name)
      provider.claims = { ...CLAIMS }
      for (const list of [complaints, asked]) list.length = 0
    },
    stop,
  }
  answer = (req, res) => {
    asked.push(req.url ?? '')
    answerRequest(provider, complaints, req, res)
  }
  return provider
}

function issue({ issuer, keys, claims, change }: ClaimsProvider, alg: string): string {
  const iat = now()
  const good = { iss: issuer, iat, exp: iat + 300, ...claims }
  const { kid, privateKey } = keyForAlg(keys, alg)
  const header = { alg, kid }
  const jwt = signJws(alg, privateKey, change.jwtHeader?.(header) ?? header, change.jwtClaims?.(good) ?? good)
  return change.jwt?.(jwt) ?? jwt
}

function move(provider: ClaimsProvider, claims: JsonObject, by: 'aggregated' | 'distributed'): JsonObject {
  const { issuer, accessToken, change } = provider
  const names = Object.keys(provider.claims)
  const kept = Object.entries(claims).filter(([name]) => !names.includes(name))
  const source =
    by === 'aggregated' ? { JWT: provider.issue() } : { endpoint: `${issuer}/claims`, access_token: accessToken }
  return {
    ...Object.fromEntries(kept),
    _claim_names: Object.fromEntries(names.map((name) => [name, 'src1'])),
    _claim_sources: { src1: change.source?.(source) ?? source },
  }
}

function answerRequest(
  provider: ClaimsProvider,
  complaints: string[],
  req: IncomingMessage,
  res: ServerResponse,
): void {
  const { issuer, keys, change } = provider
  switch (req.url) {
    case '/.well-known/openid-configuration':
      sendChanged(res, { issuer, jwks_uri: `${issuer}/jwks`, claims_endpoint: `${issuer}/claims` }, change.discovery)
      return
    case '/jwks':
      sendChanged(res, { keys: Object.values(keys).map(({ jwk }) => jwk) }, change.jwks)
      return
    case '/claims':
      answerClaims(provider, complaints, req, res)
      return
    default:
      complaints.push(`there is nothing at ${req.url}`)
      res.writeHead(404).end()
  }
}

/** OIDC Core 5.6.2: asked by GET, with the access token that UserInfo gave. */
function answerClaims(
  { change, accessToken, issue }: ClaimsProvider,
  complaints: string[],
  req: IncomingMessage,
  res: ServerResponse,
): void {
  if (change.raw) {
    change.raw(req, res)
    return
  }
  const fault = findFault({ complaints }, '/claims', [
    [req.method !== 'GET', 'invalid_request', 'the method is not GET'],
    [req.headers.authorization !== `Bearer ${accessToken}`, 'invalid_token', 'the access token is wrong'],
  ])
  if (fault) res.writeHead(401, { 'WWW-Authenticate': `Bearer error="${fault.error}"` }).end()
  else res.writeHead(200, { 'Content-Type': 'application/jwt' }).end(issue())
}
