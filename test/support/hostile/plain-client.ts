import { createHash, createPrivateKey, generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto'
import { type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { signJws } from '../app/signing-keys.ts'
import { readBody } from '../servers/http-server.ts'
import { type Certificate, LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'
import type { JsonObject } from '../strict-provider/changes.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'

/** What an endpoint has answered. */
export interface HandAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  json(): JsonObject
}

/** One request, and nothing that is done by itself. */
export interface HandRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly certificate?: Certificate | undefined
}

export async function ask(
  url: string,
  { headers, form, json, certificate, ...how }: HandRequest = {},
): Promise<HandAnswer> {
  const body = form ? String(new URLSearchParams(form)) : json === undefined ? undefined : JSON.stringify(json)
  const type = form ? 'application/x-www-form-urlencoded' : 'application/json'
  const settings = {
    method: how.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(body === undefined ? {} : { 'content-type': type }), ...headers },
    agent: false as const,
  }
  const tls = { ...settings, ca: LOOPBACK_CERTIFICATE.cert, cert: certificate?.cert, key: certificate?.key }
  const sent = url.startsWith('https:') ? requestHttps(url, tls) : requestHttp(url, settings)
  return new Promise((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (answer) => {
      const { statusCode: status = 0, headers: answered } = answer
      const read = readBody(answer).then((text) => ({
        status,
        headers: answered,
        body: text,
        json: () => JSON.parse(text),
      }))
      read.then(resolve, reject)
    })
    sent.end(body)
  })
}

/** What is signed, and with what said about it. */
export interface Signed {
  readonly alg?: string
  readonly header?: JsonObject
}

const KTY: Readonly<Record<string, string>> = { RS: 'RSA', PS: 'RSA', ES: 'EC', Ed: 'OKP' }
const CRV: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521', EdDSA: 'Ed25519' }

const REDIRECT_URI = 'http://127.0.0.1:1/callback'

const seconds = (): number => Math.floor(Date.now() / 1000)
const newId = (): string => randomBytes(16).toString('hex')

type Form = Record<string, string>

/** A client, and all that it can do. */
export type HandClient = ReturnType<typeof createClientByHand>

/**
 * A client that knows no library of ours, so that the provider is not tested with what it is to test. Everything that it
 * makes is right, but for what is changed.
 */
export function createClientByHand(provider: StrictProvider) {
  const codeVerifier = randomBytes(32).toString('base64url')
  const params = {
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: REDIRECT_URI,
    scope: 'openid email',
    state: newId(),
    nonce: newId(),
    code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
  }
  const { '/authorize': authorizeUrl, '/token': tokenUrl } = provider.endpointUrls
  const possessed = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const codeForm = (code: string): Form => ({
    ...{ grant_type: 'authorization_code', code },
    ...{ redirect_uri: REDIRECT_URI, code_verifier: codeVerifier },
  })

  /** What the browser brings back; nothing where it is not sent back. */
  async function authorize(sent: Readonly<Form> = params): Promise<URLSearchParams> {
    const { headers } = await ask(`${authorizeUrl}?${new URLSearchParams(sent)}`)
    return headers.location === undefined ? new URLSearchParams() : new URL(headers.location).searchParams
  }

  /** A token request with a new code. */
  async function redeem(
    proved: Readonly<Form>,
    { url = tokenUrl, ...how }: HandRequest & { readonly url?: string | undefined } = {},
  ): Promise<HandAnswer> {
    const form = { ...codeForm((await authorize()).get('code') ?? ''), ...proved }
    return ask(url, { ...how, form })
  }

  return {
    ...{ params, possessed, codeForm, authorize, redeem },
    basic: () => basicHeader(provider),
    assertion: (changes?: JsonObject, how?: Signed) => assertion(provider, changes, how),
    requestObject: (changes?: JsonObject, how?: Signed) => requestObject(provider, { ...params, ...changes }, how),
    proof: (method: string, url: string, changes: JsonObject = {}, header: JsonObject = {}): string => {
      const claims = { htm: method, htu: url, iat: seconds(), jti: newId() }
      const good = { typ: 'dpop+jwt', alg: 'ES256', jwk: possessed.publicKey.export({ format: 'jwk' }) }
      return signJws('ES256', possessed.privateKey, { ...good, ...header }, { ...claims, ...changes })
    },
  }
}

function basicHeader({ clientId, clientSecret }: StrictProvider): Form {
  const halves = [clientId, clientSecret].map((half) => new URLSearchParams({ '': half }).toString().slice(1))
  return { authorization: `Basic ${Buffer.from(halves.join(':')).toString('base64')}` }
}

function assertion(provider: StrictProvider, changes: JsonObject = {}, how?: Signed): Form {
  const { clientId, issuer } = provider
  const iat = seconds()
  const claims = { iss: clientId, sub: clientId, aud: issuer, iat, exp: iat + 60, jti: newId() }
  return {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: sign(provider, { ...claims, ...changes }, how),
  }
}

function requestObject(provider: StrictProvider, changes: JsonObject, { header = {}, ...how }: Signed = {}): string {
  const nbf = seconds()
  const claims = { iss: provider.clientId, aud: provider.issuer, nbf, exp: nbf + 60, jti: newId() }
  const typed = { typ: 'oauth-authz-req+jwt', ...header }
  return sign(provider, { ...claims, ...changes }, { ...how, header: typed })
}

function sign(provider: StrictProvider, claims: JsonObject, { alg = 'RS256', header = {} }: Signed = {}): string {
  if (alg === 'none') return signJws(alg, '', { alg, ...header }, claims)
  if (alg.startsWith('HS')) return signJws(alg, provider.clientSecret, { alg, ...header }, claims)
  const jwk = jwkFor(provider, alg)
  return signJws(alg, createPrivateKey({ key: jwk, format: 'jwk' }), { alg, kid: jwk['kid'], ...header }, claims)
}

function jwkFor({ clientKeys }: StrictProvider, alg: string): JsonWebKey {
  const [kty, crv] = [KTY[alg.slice(0, 2)], CRV[alg]]
  const found = clientKeys.find((jwk) => {
    return jwk['use'] === 'sig' && jwk.kty === kty && (crv === undefined || jwk.crv === crv)
  })
  if (!found) throw new Error(`the client has no key for ${alg}`)
  return found
}
