import type { JsonWebKey } from 'node:crypto'
import {
  createClientKeys,
  createEncryptionKeys,
  createSecondKeys,
  createSigningKeys,
  type EncryptionKeys,
  type SigningKeys,
} from '../app/signing-keys.ts'
import { type Authority, type Certificate, createCertificate } from '../servers/tls-certificate.ts'
import { needsCertificate, needsClientKeys } from './client.ts'
import type { StrictContext } from './context.ts'
import type { StrictProviderOptions } from './options.ts'

/** The keys of a provider and of its client. What nobody needs is not made. */
export interface ProviderKeys {
  readonly signing: SigningKeys
  readonly second: Pick<SigningKeys, 'rsa' | 'p256'> | undefined
  readonly encryption: EncryptionKeys | undefined
  readonly clientKeys: readonly JsonWebKey[]
  readonly clientCertificate: Certificate | undefined
  /** The certificate of the authority that the provider trusts for clients; absent: it listens by http. */
  readonly clientAuthority: string | undefined
}

/** Making RSA keys takes longer than all the rest: one set serves every provider until it renews them. */
function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

const sharedSigningKeys = once(createSigningKeys)
const sharedSecondKeys = once(createSecondKeys)
const sharedEncryptionKeys = once(createEncryptionKeys)
const sharedClientKeys = once(createClientKeys)

let sharedAuthority: Authority | undefined

export function createProviderKeys(options: StrictProviderOptions): ProviderKeys {
  const { suiteKeys, fapiKeys, requestObjectEncryptionAlg = '' } = options
  const isEncryptedTo = suiteKeys === true || /^(RSA|ECDH)/.test(requestObjectEncryptionAlg)
  const needsTls = needsCertificate(options)
  if (needsTls) sharedAuthority ??= createCertificate('authority of clients')
  return {
    signing: sharedSigningKeys(),
    second: suiteKeys || fapiKeys ? sharedSecondKeys() : undefined,
    encryption: isEncryptedTo ? sharedEncryptionKeys() : undefined,
    clientKeys: options.clientKeys ?? (needsClientKeys(options) ? clientKeysFor(options) : []),
    clientCertificate: options.clientCertificate ?? (needsTls ? certificateFor(options) : undefined),
    clientAuthority: needsTls ? sharedAuthority?.cert : undefined,
  }
}

/** Every app checks its keys when it starts, which takes long for P-384 and P-521: only clients that need these have them. */
function clientKeysFor(options: StrictProviderOptions): readonly JsonWebKey[] {
  const needed = JSON.stringify(options)
  const isNeeded = (crv?: string): boolean =>
    (crv !== 'P-384' || needed.includes('ES384')) && (crv !== 'P-521' || needed.includes('ES512'))
  return sharedClientKeys().filter(({ crv }) => isNeeded(crv))
}

function certificateFor({ tokenEndpointAuthMethod, clientId = 'test-client' }: StrictProviderOptions): Certificate {
  return createCertificate(
    clientId,
    tokenEndpointAuthMethod === 'self_signed_tls_client_auth' ? undefined : sharedAuthority,
  )
}

/** New keys in the place of those that sign, and of those beside them: made here, or by the test. */
export function renewKeys(context: StrictContext, made: readonly SigningKeys[] = []): void {
  const [signing, second = context.secondKeys && createSecondKeys()] = made
  context.keys = signing ?? createSigningKeys()
  context.secondKeys = second
}
