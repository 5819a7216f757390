import type { ResponseType } from '../types.ts'

/** What an authorization response contains (OAuth 2.0 Multiple Response Types 3 and 5). */
export interface ResponseContents {
  readonly code: boolean
  readonly idToken: boolean
  /** An access token. */
  readonly token: boolean
}

/** The response types of a login, with their words in the order of the standard. */
export const RESPONSE_TYPES: readonly ResponseType[] = [
  'code',
  'id_token',
  'id_token token',
  'code id_token',
  'code token',
  'code id_token token',
]

/** Finds a response type whose words may be in any order. Returns it in the order of the standard. */
export function findResponseType(given: unknown): ResponseType | undefined {
  if (typeof given !== 'string') return undefined
  const words = sorted(given)
  return RESPONSE_TYPES.find((type) => sorted(type) === words)
}

/** What the response to this response type must contain: with `none` nothing (Multiple Response Types 4). */
export function contentsOf(responseType: ResponseType | 'none'): ResponseContents {
  const words = responseType.split(' ')
  return { code: words.includes('code'), idToken: words.includes('id_token'), token: words.includes('token') }
}

function sorted(words: string): string {
  return words.split(' ').sort().join(' ')
}

/** The response modes (OAuth 2.0 Multiple Response Types 2.1, Form Post Response Mode 2, JARM 2.3). */
export const RESPONSE_MODES = [
  'query',
  'form_post',
  'fragment',
  'jwt',
  'query.jwt',
  'form_post.jwt',
  'fragment.jwt',
] as const

export type ResponseMode = (typeof RESPONSE_MODES)[number]

/** How a response is sent: in which part of a request, and whether as one signed JWT (JARM). */
interface ResponseDelivery {
  readonly by: 'query' | 'form_post' | 'fragment'
  readonly isJwt: boolean
}

/** How a response is sent with this mode. `jwt` means the default mode of the response type, as a JWT (JARM 2.3.4). */
export function responseDeliveryOf(responseMode: ResponseMode, responseType: ResponseType): ResponseDelivery {
  const isJwt = responseMode.endsWith('jwt')
  const named = (['query', 'form_post', 'fragment'] as const).find((by) => responseMode.startsWith(by))
  return { by: named ?? (responseType === 'code' ? 'query' : 'fragment'), isJwt }
}
