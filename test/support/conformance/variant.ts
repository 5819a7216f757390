import type { ResponseType } from '../../../lib/types.ts'
import type { AnyOptions, AppOptions } from '../app/app.ts'
import { createMemoryClientStore } from '../app/memory-client-store.ts'
import type { TokenEndpointAuthMethod } from '../strict-provider/client.ts'
import type { StrictProviderOptions } from '../strict-provider/provider.ts'
import type { VariantSettings } from './suite.ts'

/** What is fixed by an OpenID Connect plan, or chosen when it is begun, by the suite's names. */
export interface Variant {
  readonly response_type: ResponseType
  readonly response_mode: 'default' | 'form_post'
  readonly client_auth_type: TokenEndpointAuthMethod
  readonly client_registration: 'static_client' | 'dynamic_client'
  readonly request_type: 'plain_http_request' | 'request_object' | 'request_uri'
}

/** The plain one. */
export const BASIC: Variant = {
  response_type: 'code',
  response_mode: 'default',
  client_auth_type: 'client_secret_basic',
  client_registration: 'static_client',
  request_type: 'plain_http_request',
}

export const SCOPE: string = 'openid profile email address phone'

/** The issuer with a slash at its end, keys of many kinds, and credentials with every kind of punctuation. */
const PROVIDER: StrictProviderOptions = {
  issuerPath: '/test/a/express-oidc/',
  clientId: 'client_aBc123:%+~',
  clientSecret: 'secret_dEf456 :%&=?/+{~ of forty characters',
  issParameter: 'absent',
  revocation: 'absent',
  idToken: 'thin',
  suiteKeys: true,
}

const SECRET = 'what seals the cookies of those without a secret'

/** The suite's provider, and an app as one would register it for certification. */
export function settingsFor(variant: Variant): VariantSettings {
  const { response_type: responseType, client_auth_type: tokenEndpointAuthMethod } = variant
  const isByRequest = variant.request_type !== 'plain_http_request'
  const isDynamic = variant.client_registration === 'dynamic_client'
  return {
    provider: {
      ...PROVIDER,
      tokenEndpointAuthMethod,
      ...(isByRequest ? { requestObjectSigningAlg: 'RS256' } : {}),
      ...(isDynamic ? { registration: 'open' } : {}),
    },
    app: appFor(variant, {
      ...{ userinfo: responseType !== 'id_token', scope: SCOPE, responseType, responseMode: modeOf(variant) },
      ...(/_(basic|jwt)$/.test(tokenEndpointAuthMethod) ? {} : { tokenEndpointAuthMethod }),
      ...(tokenEndpointAuthMethod === 'none' ? { clientSecret: '', secret: SECRET } : {}),
      ...(variant.request_type === 'request_uri' ? { requestObjectBy: 'reference' } : {}),
      ...(isDynamic ? registered() : {}),
    }),
  }
}

/** Web clients may have `http` for the response type `code` alone. */
function appFor({ response_type: responseType }: Variant, options: Partial<AnyOptions>): Partial<AppOptions> {
  return { tls: responseType !== 'code', options }
}

function modeOf({ response_type: responseType, response_mode: mode }: Variant): 'query' | 'fragment' | 'form_post' {
  if (mode === 'form_post') return mode
  return responseType === 'code' ? 'query' : 'fragment'
}

/** What the usual options of a test would say is the provider's to tell. */
function registered(): Partial<AnyOptions> {
  const nothing = { clientId: undefined, clientSecret: undefined }
  const registration = { store: createMemoryClientStore(), metadata: { contacts: ['certification@example.test'] } }
  return { ...nothing, secret: SECRET, registration } as unknown as Partial<AnyOptions>
}
