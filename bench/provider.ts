import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { IdTokenClaims } from '../lib/types.ts'
import { createSigningKeys, signJws, tokenHash } from '../test/support/app/signing-keys.ts'
import { listen, sendJson } from '../test/support/servers/http-server.ts'
import { fifteenClaims } from './claims.ts'

// A provider that checks nothing and lets nobody wait: the token is signed before the code is given out.

const CLIENT_ID = process.env['CLIENT_ID'] ?? ''
const { rsa } = await createSigningKeys()
const tokenResponses = new Map<string, unknown>()
let logins = 0
const { port } = await listen(createServer({ keepAliveTimeout: 60_000 }, answer))
const issuer = `http://localhost:${port}`

const DOCUMENTS: Readonly<Record<string, unknown>> = {
  '/.well-known/openid-configuration': {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/keys`,
    userinfo_endpoint: `${issuer}/userinfo`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    authorization_response_iss_parameter_supported: true,
  },
  '/keys': { keys: [rsa.jwk] },
}

process.on('disconnect', () => process.exit())
process.send?.(issuer)

function answer(req: IncomingMessage, res: ServerResponse): void {
  const url = new URL(req.url ?? '/', 'http://localhost')
  if (url.pathname === '/authorize') authorize(url.searchParams, res)
  else if (url.pathname === '/token') sendTokens(req, res)
  else if (url.pathname === '/userinfo') sendJson(res, 200, userinfoOf(req.headers.authorization ?? ''))
  else sendJson(res, 200, DOCUMENTS[url.pathname])
}

/** Of the 15 claims, those that say who the user is. The access token begins with the number of the user. */
function userinfoOf(authorization: string): unknown {
  const user = Number.parseInt(authorization.replace('Bearer ', ''), 10)
  const { iss: _iss, aud: _aud, exp: _exp, iat: _iat, auth_time: _at, sid: _sid, ...claims } = claimsOf(user)
  return claims
}

function claimsOf(user: number): IdTokenClaims {
  return fifteenClaims(issuer, CLIENT_ID, user)
}

function authorize(params: URLSearchParams, res: ServerResponse): void {
  const code = randomBytes(16).toString('base64url')
  tokenResponses.set(code, createTokens(params.get('nonce') ?? ''))
  const target = new URL(params.get('redirect_uri') ?? '')
  target.search = String(new URLSearchParams({ code, state: params.get('state') ?? '', iss: issuer }))
  res.writeHead(302, { Location: target.href }).end()
}

function createTokens(nonce: string): unknown {
  // Each login is another user's: a library that keeps a list of each user's sessions would get a longer and longer one.
  const user = process.env['ONE_USER'] === undefined ? logins++ : 0
  const accessToken = `${user}-${randomBytes(32).toString('base64url')}`
  const hash = tokenHash('RS256', accessToken)
  const claims = { ...claimsOf(user), nonce, at_hash: hash }
  return {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 3600,
    scope: 'openid profile email',
    id_token: signJws('RS256', rsa.privateKey, { alg: 'RS256', kid: rsa.kid }, claims),
  }
}

function sendTokens(req: IncomingMessage, res: ServerResponse): void {
  let body = ''
  req.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  req.on('end', () => {
    const code = new URLSearchParams(body).get('code') ?? ''
    sendJson(res, tokenResponses.has(code) ? 200 : 400, tokenResponses.get(code) ?? { error: 'invalid_grant' })
    tokenResponses.delete(code)
  })
}
