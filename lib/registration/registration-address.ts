import type { ClientInformation } from '../client-metadata.ts'
import { parseHttpUrl } from '../config/absolute-url.ts'
import { ProviderError } from '../errors.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'

/**
 * Where one client is managed: at the address that the provider gave with it (RFC 7592 2), or, as at Okta, which gives
 * none, below the registration endpoint by its id.
 *
 * @param operation What follows, where there is no address of its own: `lifecycle/newSecret`.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where a token would go to a foreign host.
 */
export function entryAddressOf(
  endpoint: RegistrationEndpoint,
  client: Pick<ClientInformation, 'client_id' | 'registration_client_uri'>,
  operation: string = '',
): string {
  const given = client.registration_client_uri
  if (given === undefined) return addressBelow(endpoint.url, client.client_id, operation)
  if (isEntryAddress(endpoint, given)) return given
  throw new ProviderError(
    'ERR_OIDC_REGISTRATION_RESPONSE',
    "The client's registration_client_uri is not on the provider's own host.",
  )
}

/** Whether the provider may keep an entry there: on the host of its endpoint or of its issuer, with the same scheme. */
export function isEntryAddress(endpoint: Pick<RegistrationEndpoint, 'url' | 'issuer'>, value: unknown): boolean {
  const address = parseHttpUrl(value)
  if (address === undefined || address.hash !== '') return false
  return [endpoint.url, endpoint.issuer].some((own) => own !== undefined && new URL(own).origin === address.origin)
}

function addressBelow(base: string, clientId: string, operation: string): string {
  // A URL parser takes these two for steps in the path.
  if (clientId === '.' || clientId === '..') {
    throw new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', 'The client_id cannot be part of an address.')
  }
  const address = new URL(base)
  const steps = [address.pathname.replace(/\/$/, ''), encodeURIComponent(clientId), operation]
  address.pathname = steps.filter((step, index) => index === 0 || step !== '').join('/')
  return address.href
}
