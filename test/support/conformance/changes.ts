import { createSigningKeys, type SigningKeys } from '../app/signing-keys.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'

// What the modules make wrong.

export type Edit = (good: JsonObject) => JsonObject

export function without(name: string): Edit {
  return ({ [name]: _dropped, ...rest }) => rest
}

/** The suite's way of making a value wrong. */
export function withOneAfter(name: string): Edit {
  return (good) => ({ ...good, [name]: `${good[name]}1` })
}

export interface IdTokenEdits {
  readonly header?: Edit
  readonly claims?: Edit
  readonly jwt?: (jwt: string) => string
}

/** Changes every ID Token, whichever way it comes: the first that does is the one that a module looks at. */
export function changeIdTokens({ change }: StrictProvider, { header, claims, jwt }: IdTokenEdits): void {
  Object.assign(change, {
    ...(header && { idTokenHeader: header, frontIdTokenHeader: header }),
    ...(claims && { idTokenClaims: claims, frontIdTokenClaims: claims }),
    ...(jwt && { idToken: jwt, frontIdToken: jwt }),
  })
}

/** Every byte of the signature is another one. */
export function withBrokenSignature(jwt: string): string {
  const [header, payload, signature = ''] = jwt.split('.')
  const bytes = Buffer.from(signature, 'base64url').map((byte) => byte ^ 0x5a)
  return `${header}.${payload}.${Buffer.from(bytes).toString('base64url')}`
}

/** The same claims under `none`, and no signature. */
export function unsigned(jwt: string): string {
  return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${jwt.split('.')[1]}.`
}

/** The only algorithm that discovery names for ID Tokens. */
export function announceAlgs({ change }: StrictProvider, ...algs: readonly string[]): void {
  change.discovery = (good) => ({ ...good, id_token_signing_alg_values_supported: algs })
}

let made: readonly SigningKeys[] | undefined

/** Two sets that no client knows, the same for each module: RSA keys take their time. */
export function otherKeys(): readonly SigningKeys[] {
  made ??= [createSigningKeys(), createSigningKeys()]
  return made
}
