import { PRIVATE_MEMBERS } from '../jose/jwk.ts'
import { requiredGrantTypes } from '../options/client-document.ts'
import type { ClientMetadata } from '../options/registration-options.ts'

/**
 * One message for each contradiction in the metadata of a client, and for private keys in it. The provider judges the
 * rest: it may know members and values that this library does not.
 */
export function findMetadataProblems(metadata: ClientMetadata): readonly string[] {
  const { jwks, jwks_uri: jwksUri, redirect_uris: redirectUris = [] } = metadata
  const problems: readonly (readonly [isProblem: boolean, message: string])[] = [
    [jwks !== undefined && jwksUri !== undefined, 'jwks and jwks_uri cannot be combined (RFC 7591 2).'],
    [hasPrivateKey(jwks), 'jwks must contain only public keys. One of its keys is private or symmetric.'],
    [redirectUris.some((uri) => uri.includes('#')), 'redirect_uris must have no fragment (RFC 6749 3.1.2).'],
    ...missingGrantTypes(metadata).map(
      (grant) => [true, `grant_types must contain ${grant}, because response_types needs it.`] as const,
    ),
  ]
  return problems.flatMap(([isProblem, message]) => (isProblem ? [message] : []))
}

/** The defaults are those of OIDC Dynamic Client Registration 2. */
function missingGrantTypes({
  response_types: types = ['code'],
  grant_types: grants = ['authorization_code'],
}: ClientMetadata): readonly string[] {
  // A `service` of Okta has the response type `token`, although it receives nothing through a browser.
  const isService = grants.includes('client_credentials') && types.every((type) => type === 'token')
  return isService ? [] : requiredGrantTypes(types).filter((grant) => !grants.includes(grant))
}

function hasPrivateKey(jwks: ClientMetadata['jwks']): boolean {
  const keys: unknown = jwks?.keys
  return Array.isArray(keys) && keys.some((key) => PRIVATE_MEMBERS.some((member) => Object.hasOwn(Object(key), member)))
}

/**
 * Advice on the metadata of a client: what Okta is known to reject or to change, and grant types without a use. One
 * sentence for each. Nothing of it prevents a registration.
 *
 * @example
 * ```ts
 * import { adviseOnClient } from 'express-oidc/registration'
 *
 * for (const sentence of adviseOnClient({ redirect_uris: [`${baseUrl}/callback`] })) console.warn(sentence)
 * ```
 */
export function adviseOnClient(metadata: ClientMetadata): readonly string[] {
  const { application_type: type = 'web', token_endpoint_auth_method: method } = metadata
  const { response_types: types = ['code'], grant_types: grants = ['authorization_code'] } = metadata
  const needed = requiredGrantTypes(types)
  const advice: readonly (readonly [applies: boolean, sentence: string])[] = [
    [metadata.client_name === undefined, 'client_name is missing. Okta requires it.'],
    ...['implicit', 'authorization_code'].map(
      (grant) =>
        [
          grants.includes(grant) && !needed.includes(grant),
          `grant_types contains ${grant}, but no response type needs it.`,
        ] as const,
    ),
    [
      type === 'web' && !grants.includes('authorization_code'),
      'grant_types must contain authorization_code for the application_type web of Okta.',
    ],
    [
      ['browser', 'native'].includes(type) && method !== 'none',
      `token_endpoint_auth_method should be none for the application_type ${type}.`,
    ],
    [
      type === 'service' && grants.join() !== 'client_credentials',
      'grant_types must be client_credentials only for the application_type service of Okta.',
    ],
  ]
  return advice.flatMap(([applies, sentence]) => (applies ? [sentence] : []))
}
