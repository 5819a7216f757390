import type { ServerResponse } from 'node:http'
import { claimsForScope } from '../app/accounts.ts'
import {
  type AccessTokenRecord,
  type Demand,
  type Fault,
  findFault,
  type JsonObject,
  now,
  type StrictContext,
  type StrictRequest,
  sendChanged,
} from './context.ts'
import { checkDpop, type DpopOutcome, dpopNonceHeader, sendDpopChallenge } from './dpop.ts'
import { encryptForClient } from './encryption.ts'
import { signByProvider } from './id-token.ts'

/** The access token as it was shown (RFC 6750 2, RFC 9449 7.1). */
interface ShownToken {
  readonly accessToken: string
  readonly scheme: string
  readonly by: 'header' | 'body' | undefined
}

/** OIDC Core 5.3. */
export async function answerUserinfo(
  context: StrictContext,
  request: StrictRequest,
  res: ServerResponse,
): Promise<void> {
  const shown = readToken(request)
  const record = context.accessTokens.get(shown.accessToken)
  const proof = await checkDpop(context, request, shown.accessToken)
  const fault = findFault(context, '/userinfo', [
    ...wayDemands(context, request, shown),
    [!record, 'invalid_token', 'the access token is not known'],
    ...proof.demands,
    ...(record ? bindingDemands(record, request, shown, proof) : []),
  ])
  if (fault || !record) return refuse(context, shown, fault, res)
  if (shown.scheme === 'dpop' && sendDpopChallenge(context, proof, 'resource', res)) return
  // That a token has ended is nobody's fault.
  if (isDead(record)) return refuse(context, shown, { error: 'invalid_token', fault: 'the token has ended' }, res)
  await sendClaims(context, record, dpopNonceHeader(context, proof, 'resource'), res)
}

function readToken({ headers, form }: StrictRequest): ShownToken {
  const [scheme = '', accessToken = ''] = (headers.authorization ?? '').split(' ')
  const inBody = form.get('access_token')
  if (inBody !== null) return { accessToken: inBody, scheme: 'bearer', by: 'body' }
  return { accessToken, scheme: scheme.toLowerCase(), by: headers.authorization === undefined ? undefined : 'header' }
}

function wayDemands(
  { userinfoBearerMethod: way }: StrictContext,
  { method, headers, query, form }: StrictRequest,
  { scheme, by }: ShownToken,
): readonly Demand[] {
  const isTwice = headers.authorization !== undefined && form.has('access_token')
  return [
    [query.has('access_token'), 'invalid_request', 'the access token is in the address'],
    [isTwice, 'invalid_request', 'the access token was sent twice'],
    [!/^(bearer|dpop)$/.test(scheme), 'invalid_request', 'there is no Bearer token'],
    [method !== 'GET' && method !== 'POST', 'invalid_request', 'the method is neither GET nor POST'],
    [by === 'body' && method !== 'POST', 'invalid_request', 'the method is not POST'],
    [by !== undefined && way !== undefined && by !== way, 'invalid_request', `the access token is not in the ${way}`],
  ]
}

/** A token that is bound is worth nothing without what it is bound to (RFC 9449 7.1, RFC 8705 3). */
function bindingDemands(
  { jkt, thumbprint }: AccessTokenRecord,
  { certificate }: StrictRequest,
  { scheme }: ShownToken,
  proof: DpopOutcome,
): readonly Demand[] {
  const isDpop = scheme === 'dpop'
  return [
    [jkt !== undefined && !isDpop, 'invalid_token', 'a token that is bound to a key came as Bearer'],
    [jkt === undefined && isDpop, 'invalid_token', 'a token that is bound to no key came as DPoP'],
    [isDpop && jkt !== undefined && proof.jkt !== jkt, 'invalid_token', 'there is no proof of the key of the token'],
    [
      thumbprint !== undefined && certificate?.thumbprint !== thumbprint,
      'invalid_token',
      'the token is bound to another certificate',
    ],
  ]
}

function isDead({ grant, expiresAt, isRevoked }: AccessTokenRecord): boolean {
  return grant.isRevoked || isRevoked || expiresAt <= now()
}

function refuse(
  { change }: StrictContext,
  { scheme }: ShownToken,
  fault: Fault | undefined,
  res: ServerResponse,
): void {
  const headers = { 'WWW-Authenticate': `${scheme === 'dpop' ? 'DPoP' : 'Bearer'} error="${fault?.error}"` }
  sendChanged(res, { error: fault?.error }, change.userinfo, { status: 401, headers })
}

async function sendClaims(
  context: StrictContext,
  { grant, scope }: AccessTokenRecord,
  headers: Record<string, string>,
  res: ServerResponse,
): Promise<void> {
  const { account, client } = grant
  const { userinfoSignedResponseAlg: alg, userinfoEncryptedResponseAlg: encryptionAlg } = client
  const asked = Object.entries(account.claims).filter(([name]) => grant.claims.userinfo.includes(name))
  const own = { sub: account.sub, ...claimsForScope(account, scope), ...Object.fromEntries(asked) }
  const claims = context.claimsFrom ? context.claimsFrom.provider.move(own, context.claimsFrom.by) : own
  if (alg === undefined && encryptionAlg === undefined) {
    sendChanged(res, claims, context.change.userinfo, { headers })
    return
  }
  const answer = {
    status: 200,
    headers: { 'Content-Type': 'application/jwt', 'Cache-Control': 'no-store', ...headers },
  }
  // OIDC Core 5.3.2.
  const good = alg === undefined ? claims : { ...claims, iss: context.issuer, aud: client.clientId }
  const changed = context.change.userinfo ? context.change.userinfo(good, answer) : good
  const isJwt = typeof changed === 'object' && changed !== null && answer.status === 200
  const body = isJwt ? await createUserinfoJwt(context, grant, { ...changed }) : changed
  res.writeHead(answer.status, answer.headers)
  res.end(typeof body === 'string' ? body : JSON.stringify(body))
}

async function createUserinfoJwt(
  context: StrictContext,
  { client }: AccessTokenRecord['grant'],
  claims: JsonObject,
): Promise<string> {
  const { change } = context
  const { userinfoSignedResponseAlg: alg } = client
  const signed =
    alg === undefined
      ? JSON.stringify(claims)
      : signByProvider(context, client, { alg, header: change.userinfoJwtHeader, claims })
  const jwt = change.userinfoJwt ? await change.userinfoJwt(signed) : signed
  const encryption = { alg: client.userinfoEncryptedResponseAlg, enc: client.userinfoEncryptedResponseEnc }
  return await encryptForClient(context, client, encryption, jwt, change.encryptedUserinfo)
}
