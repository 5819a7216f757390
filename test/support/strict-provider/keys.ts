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
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
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

export async function createProviderKeys(options: StrictProviderOptions): Promise<ProviderKeys> {
  const { suiteKeys, fapiKeys, requestObjectEncryptionAlg = '' } = options
  const isEncryptedTo = suiteKeys === true || /^(RSA|ECDH)/.test(requestObjectEncryptionAlg)
  const needsTls = needsCertificate(options)
  if (needsTls) sharedAuthority ??= createCertificate('authority of clients')
  return {
    signing: await sharedSigningKeys(),
    second: suiteKeys || fapiKeys ? await sharedSecondKeys() : undefined,
    encryption: isEncryptedTo ? await sharedEncryptionKeys() : undefined,
    clientKeys: options.clientKeys ?? (needsClientKeys(options) ? await sharedClientKeys() : []),
    clientCertificate: options.clientCertificate ?? (needsTls ? certificateFor(options) : undefined),
    clientAuthority: needsTls ? sharedAuthority?.cert : undefined,
  }
}

function certificateFor({ tokenEndpointAuthMethod, clientId = 'test-client' }: StrictProviderOptions): Certificate {
  return createCertificate(
    clientId,
    tokenEndpointAuthMethod === 'self_signed_tls_client_auth' ? undefined : sharedAuthority,
  )
}

/** New keys in the place of those that sign, and of those beside them: made here, or by the test. */
export async function renewKeys(context: StrictContext, made: readonly SigningKeys[] = []): Promise<void> {
  const [signing, second = context.secondKeys && (await createSecondKeys())] = made
  context.keys = signing ?? (await createSigningKeys())
  context.secondKeys = second
}
