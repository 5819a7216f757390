import type { ClientInformation } from '../client-metadata.ts'
import { isHeaderToken } from '../config/registration-rule.ts'
import { ProviderError } from '../errors.ts'
import { type HttpAnswer, jsonOf } from '../http-client/http-answer.ts'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject } from '../json-object.ts'
import { isEntryAddress } from './registration-address.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'

/** What each member must be where it is there at all. What is not here is kept as it came. */
const MEMBERS: ReadonlyMap<string, (value: Json) => boolean> = new Map([
  ['client_secret', isVisibleText],
  ['client_id_issued_at', isInstant],
  ['client_secret_expires_at', isInstant],
  ['registration_access_token', isHeaderToken],
  ['redirect_uris', isTextList],
  ['post_logout_redirect_uris', isTextList],
  ['response_types', isTextList],
  ['grant_types', isTextList],
  ['token_endpoint_auth_method', isVisibleText],
])

/**
 * The client in an answer (RFC 7591 3.2.1), without the `null`s that Okta fills it up with.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where it is none; nothing of the answer is in the message.
 */
export function readClientAnswer(endpoint: RegistrationEndpoint, answer: HttpAnswer): ClientInformation {
  return checkClient(endpoint, jsonOf(answer))
}

/** The same for a client that is part of an answer. */
export function checkClient(endpoint: RegistrationEndpoint, value: Json | undefined): ClientInformation {
  if (!isObject(value)) throw invalid('is not a JSON object')
  const client = withoutNulls(value)
  if (!isVisibleText(client['client_id'])) throw invalid('has no usable client_id')
  const fault = Object.entries(client).find(([name, member]) => MEMBERS.get(name)?.(member) === false)
  // The name is one of ours, so it may be told.
  if (fault !== undefined) throw invalid(`has no usable ${fault[0]}`)
  const address = client['registration_client_uri']
  if (address !== undefined && !isEntryAddress(endpoint, address)) {
    throw invalid("has a registration_client_uri that is not on the provider's own host")
  }
  return client as ClientInformation
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, member]) => member !== null))
}

/** RFC 6749 A.1 and A.2: VSCHAR. */
function isVisibleText(value: Json | undefined): boolean {
  return typeof value === 'string' && /^[ -~]+$/.test(value)
}

function isInstant(value: Json): boolean {
  return typeof value === 'number' && value >= 0
}

function isTextList(value: Json): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', `The answer of the registration endpoint ${fault}.`)
}
