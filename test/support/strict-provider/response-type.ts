const TYPES = ['none', 'code', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token']

const CARRIERS = ['query', 'form_post', 'fragment'] as const

/** What a request asks for, and the way that its answer goes. */
export interface AskedResponse {
  /** Whether type and mode are known, and go together. */
  readonly fault: 'type' | 'mode' | 'query' | undefined
  readonly code: boolean
  readonly idToken: boolean
  readonly token: boolean
  readonly by: (typeof CARRIERS)[number]
  /** JARM: as one signed JWT. */
  readonly isJwt: boolean
}

/** Reads `response_type`, its words in any order, and `response_mode` (OAuth 2.0 Multiple Response Types 2.1, JARM 2.3). */
export function readAskedResponse(params: URLSearchParams): AskedResponse {
  const words = (params.get('response_type') ?? '').split(' ')
  const inOrder = [...words].sort().join(' ')
  const mode = params.get('response_mode')
  const [carrier = '', suffix] = mode === 'jwt' ? [undefined, 'jwt'] : (mode ?? '').split('.')
  const hasTokens = words.includes('token') || words.includes('id_token')
  const named = CARRIERS.find((by) => by === carrier)
  const isKnownMode = mode === null || mode === 'jwt' || (named && (suffix === undefined || suffix === 'jwt'))
  const faults = [
    [!TYPES.includes(inOrder), 'type'] as const,
    [!isKnownMode, 'mode'] as const,
    [named === 'query' && hasTokens, 'query'] as const,
  ]
  const fault = faults.find(([isBroken]) => isBroken)?.[1]
  const usual = hasTokens ? 'fragment' : 'query'
  return {
    fault,
    code: words.includes('code'),
    idToken: words.includes('id_token'),
    token: words.includes('token'),
    by: fault === undefined ? (named ?? usual) : usual,
    isJwt: suffix === 'jwt',
  }
}
