import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { nowInSeconds } from '../time/seconds.ts'

// The state of a verification event (SSF 8.1.4). The command that requests the event and the node that receives it share only the
// value of the push Authorization header. So the state is signed with that: every node knows it without a store.

/** A transmitter sends the event when it likes. A day later, nobody waits for it any more. */
const LIFETIME = 86_400

/** Creates the state for a verification of the stream of this transmitter. */
export function createVerificationState(authorizationHeader: string, issuer: string): string {
  const content = `${Math.floor(nowInSeconds())}.${randomBytes(16).toString('base64url')}`
  return `${content}.${signatureOf(content, authorizationHeader, issuer)}`
}

/** True if the state was created for this transmitter with one of these values of the header, less than a day ago. */
export function isVerificationState(state: string, authorizationHeaders: readonly string[], issuer: string): boolean {
  const [, content = '', time = '', signature = ''] = /^((\d{1,12})\.[\w-]{22})\.([\w-]{43})$/.exec(state) ?? []
  const age = nowInSeconds() - Number(time)
  if (content === '' || age < -LIFETIME || age > LIFETIME) return false
  return authorizationHeaders.some((header) =>
    timingSafeEqual(Buffer.from(signatureOf(content, header, issuer)), Buffer.from(signature)),
  )
}

function signatureOf(content: string, authorizationHeader: string, issuer: string): string {
  const text = JSON.stringify(['express-oidc verification', issuer, content])
  return createHmac('sha256', authorizationHeader).update(text).digest('base64url')
}
