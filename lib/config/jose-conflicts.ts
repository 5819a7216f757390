import type { ApplicationOptions } from '../options.ts'
import type { NamedProviderOptions } from '../provider-options.ts'
import { hasKey } from './client-conflicts.ts'
import { type Conflict, conflict } from './conflict.ts'

type Given = NamedProviderOptions & ApplicationOptions
type Alg = Extract<keyof Given, `${string}Alg`>
type Enc = Extract<keyof Given, `${string}Enc`>

/** OIDC Core 16.19: who sees what was made with a shorter one can try all of them. */
const MIN_SECRET_LENGTH = 32

const SIGNED: readonly Alg[] = [
  'idTokenSignedResponseAlg',
  'userinfoSignedResponseAlg',
  'authorizationSignedResponseAlg',
  'requestObjectSigningAlg',
]

const DECRYPTED: readonly (readonly [alg: Alg, enc: Enc])[] = [
  ['idTokenEncryptedResponseAlg', 'idTokenEncryptedResponseEnc'],
  ['userinfoEncryptedResponseAlg', 'userinfoEncryptedResponseEnc'],
  ['authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc'],
]

const ENCRYPTED: typeof DECRYPTED = [...DECRYPTED, ['requestObjectEncryptionAlg', 'requestObjectEncryptionEnc']]

/** What tells whether the client has a secret. */
const SECRET = ['clientSecret', 'registration', 'tokenEndpointAuthMethod'] as const

/** The keys that the algorithms of a provider's options need, and what some of them have no use without. */
export const JOSE_CONFLICTS: readonly Conflict<Given>[] = [
  ...SIGNED.map((name) =>
    conflict<Given>(
      [name, ...SECRET],
      `${name} needs a clientSecret where it is HS256, HS384 or HS512.`,
      (options) => isBySecret(options[name]) && !hasSecret(options),
    ),
  ),
  ...DECRYPTED.map(([name]) =>
    conflict<Given>(
      [name, 'clientKeys', ...SECRET],
      `${name} needs a key for encryption in clientKeys, or a clientSecret where it works by a secret.`,
      (options) => {
        const { [name]: alg } = options
        if (alg === undefined) return false
        return isBySecret(alg) ? !hasSecret(options) : !hasKey(options.clientKeys, 'enc', alg)
      },
    ),
  ),
  conflict(
    ['requestObjectEncryptionAlg', ...SECRET],
    'requestObjectEncryptionAlg needs a clientSecret where it works by a secret.',
    (options) => isBySecret(options.requestObjectEncryptionAlg) && !hasSecret(options),
  ),
  ...[...SIGNED, ...ENCRYPTED.map(([alg]) => alg)].map((name) =>
    conflict<Given>(
      [name, 'clientSecret'],
      `${name} needs a clientSecret of at least ${MIN_SECRET_LENGTH} characters where it works by a secret.`,
      (options) => isBySecret(options[name]) && isShort(options.clientSecret),
    ),
  ),
  ...ENCRYPTED.map(([alg, enc]) =>
    conflict<Given>([alg, enc], `${enc} needs ${alg}.`, (options) => {
      return options[enc] !== undefined && options[alg] === undefined
    }),
  ),
  conflict(
    ['requestObjectSigningAlg', 'clientKeys'],
    'requestObjectSigningAlg needs a key in clientKeys that signs with it.',
    ({ requestObjectSigningAlg: alg = 'none', clientKeys }) =>
      alg !== 'none' && !isBySecret(alg) && !hasKey(clientKeys, 'sig', alg),
  ),
  conflict(
    ['requestObjectSigningAlg', 'requestObjectEncryptionAlg', 'requestObjectBy'],
    'requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ({ requestObjectSigningAlg, requestObjectEncryptionAlg, requestObjectBy }) =>
      requestObjectSigningAlg === undefined && (requestObjectEncryptionAlg ?? requestObjectBy) !== undefined,
  ),
  conflict(
    ['authorizationSignedResponseAlg', 'authorizationEncryptedResponseAlg', 'responseMode', 'profile'],
    'authorizationSignedResponseAlg and authorizationEncryptedResponseAlg need a responseMode with jwt.',
    ({ authorizationSignedResponseAlg: signed, authorizationEncryptedResponseAlg: encrypted, ...options }) =>
      // That profile has a sentence of its own for it.
      (signed ?? encrypted) !== undefined && !isJwtMode(options) && options.profile !== 'fapi2-message-signing',
  ),
]

function isJwtMode({ responseMode }: Readonly<Partial<Given>>): boolean {
  return responseMode?.endsWith('jwt') === true
}

/** RFC 7518 3.2, 4.4, 4.5 and 4.7: the others go by a pair of keys, `none` by nothing. */
function isBySecret(alg: string | undefined): boolean {
  return alg !== undefined && /^(HS|A\d|dir$)/.test(alg)
}

/** A registered client gets a secret where anything needs one, but not to prove nothing at all. */
function hasSecret({ clientSecret, registration, tokenEndpointAuthMethod }: Readonly<Partial<Given>>): boolean {
  return clientSecret !== undefined || (registration !== undefined && tokenEndpointAuthMethod !== 'none')
}

/** What a function will give is seen when it gives it. */
function isShort(clientSecret: Given['clientSecret']): boolean {
  return typeof clientSecret === 'string' && clientSecret.length < MIN_SECRET_LENGTH
}
