import type { TLSSocket } from 'node:tls'
import type { Credentials } from '../http/authorization.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import type { BearerConfig } from '../options/bearer-config.ts'
import type { AccessTokenGrant } from '../protocol/access-token-claims.ts'
import {
  checkCertificateBinding,
  createProxyCheck,
  peerCertificateOf,
  readCertificateHeader,
} from '../protocol/certificate-binding.ts'
import { createDpopKeys, type JudgedDpopProof, judgeDpopProof, spendDpopProof } from '../protocol/dpop-proof.ts'
import { externalUrl } from '../protocol/external-url.ts'
import { accessTokenError } from '../protocol/jwt-access-token.ts'
import { createServerNonces } from '../protocol/server-nonces.ts'
import { createGuardedState } from '../state/guarded-state.ts'
import { memoryState } from '../state/memory-state.ts'
import { nowInSeconds } from '../time/seconds.ts'

/**
 * Checks that the sender of a request may use its access token: it proves the key or certificate that the token is bound to.
 * Rejects with `ERR_OIDC_ACCESS_TOKEN_CONFIRMATION`, `ERR_OIDC_DPOP_PROOF_…`, `ERR_OIDC_CERTIFICATE_…`, and
 * `ERR_OIDC_SHARED_STATE`. Call it at each request, also for a token that is known.
 */
export type CheckSender = (
  req: Request,
  res: Response,
  credentials: Credentials,
  grant: AccessTokenGrant,
) => Promise<void>

export function createSenderCheck(config: BearerConfig): CheckSender {
  const { senderConstrained } = config
  const judgeProof = createProofJudge(config)
  const certificateOf = createCertificateReader(config)
  const marks = createMarks(config)

  function checkCertificate(req: Request, thumbprint: string): void {
    if (certificateOf === undefined) throw unbound(NO_CERTIFICATES)
    checkCertificateBinding(thumbprint, certificateOf(req))
  }

  async function checkProof(req: Request, res: Response, credentials: Credentials, jkt: string): Promise<void> {
    if (judgeProof === undefined) throw unbound(NO_PROOFS)
    const proof = judgeProof(req, credentials, jkt)
    await spendDpopProof(marks, proof)
    if (proof.nextNonce !== undefined) res.setHeader('DPoP-Nonce', proof.nextNonce)
  }

  return async (req, res, credentials, { confirmation }) => {
    if (confirmation === undefined && senderConstrained === 'required') throw unbound(NOT_BOUND)
    const { jkt, 'x5t#S256': thumbprint } = confirmation ?? {}
    checkScheme(credentials, jkt)
    if (thumbprint !== undefined) checkCertificate(req, thumbprint)
    // Last, because a proof that is refused for another reason may be sent again.
    if (jkt !== undefined) await checkProof(req, res, credentials, jkt)
  }
}

/** RFC 9449 7.1: a bound token is never a bearer token, and a token without a key is no DPoP token. */
function checkScheme({ scheme }: Credentials, jkt: string | undefined): void {
  if (jkt !== undefined && scheme !== 'DPoP') throw unbound(SENT_AS_BEARER)
  if (jkt === undefined && scheme === 'DPoP') throw unbound(SENT_AS_DPOP)
}

const NOT_BOUND = "is not bound to its sender (cnf), which senderConstrained 'required' demands."
const SENT_AS_BEARER = 'is bound to a DPoP key (cnf.jkt), but was not sent with the scheme DPoP (RFC 9449 7.1).'
const SENT_AS_DPOP = 'was sent with the scheme DPoP, but it is not bound to a key (cnf.jkt).'
const NO_PROOFS = 'is bound to a DPoP key (cnf.jkt). Set baseUrl or resource to accept such tokens.'
const NO_CERTIFICATES = 'is bound to a client certificate (cnf). Set clientCertificate to accept such tokens.'

function unbound(message: string): Error {
  return accessTokenError('CONFIRMATION', { message })
}

/** How long ago a proof may have been made, in seconds, beside `clockTolerance`. It is made for one request. */
const MAX_PROOF_AGE = 60
/** After so many seconds the nonce changes. A nonce is accepted for twice as long. */
const NONCE_PERIOD = 300

type JudgeProof = (req: Request, credentials: Credentials, jkt: string) => JudgedDpopProof

/** `undefined` if the URL of a request is not known, because then no proof could be compared with it. */
function createProofJudge(config: BearerConfig): JudgeProof | undefined {
  const { clockTolerance, dpopSigningAlgs: algs, dpopNonceSecret } = config
  const baseUrl = baseUrlOf(config)
  if (baseUrl === undefined) return undefined
  const keys = createDpopKeys()
  const secrets = [dpopNonceSecret ?? []].flat()
  const nonces =
    secrets.length === 0 ? undefined : createServerNonces({ secrets, period: NONCE_PERIOD, clockTolerance })
  return (req, { token }, jkt) =>
    judgeDpopProof(req.headers['dpop'], {
      method: req.method ?? '',
      url: externalUrl(baseUrl, req.originalUrl ?? req.url ?? ''),
      accessToken: token,
      now: nowInSeconds(),
      maxAge: MAX_PROOF_AGE,
      ...{ jkt, algs, clockTolerance, nonces, keys },
    })
}

/** The URL of the application. By default, the origin of its identifier: a request has its whole path. */
function baseUrlOf({ baseUrl, resource }: BearerConfig): string | undefined {
  return baseUrl ?? (resource === undefined ? undefined : new URL(resource).origin)
}

/** The most proofs that the memory of one process holds: more than a thousand requests a second in its four minutes. */
const MAX_MARKS = 300_000

function createMarks({ sharedState }: BearerConfig): { once(key: string, seconds: number): Promise<boolean> } {
  return sharedState === undefined ? memoryState({ maxEntries: MAX_MARKS }) : createGuardedState(sharedState)
}

type CertificateReader = (req: Request) => Uint8Array | undefined

function createCertificateReader({ clientCertificate }: BearerConfig): CertificateReader | undefined {
  if (clientCertificate === undefined) return undefined
  // Without TLS, the socket has no such method.
  if (clientCertificate === 'tls') return ({ socket }) => peerCertificateOf(socket as Partial<TLSSocket>)
  const { header, format, trustedProxies } = clientCertificate
  const isProxy = createProxyCheck(trustedProxies, 'clientCertificate.trustedProxies')
  const name = header.toLowerCase()
  return (req) => (isProxy(req.socket.remoteAddress) ? readCertificateHeader(headerOf(req, name), format) : undefined)
}
