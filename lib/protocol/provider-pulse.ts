import type { Config } from '../config/config.ts'
import { createCachedDocument } from '../http-client/cached-document.ts'
import { discoveryUrl } from '../http-client/discovery.ts'
import { createHttpClient } from '../http-client/http-client.ts'

/** How long an answer holds good, in seconds. */
const LIFE = 15

/** The longest that a person is kept waiting for it, in seconds. */
const LONGEST_WAIT = 2

/**
 * Whether the provider answers at all: a browser that is sent to one that does not, does not come back. One of its documents
 * is asked for, whatever copy is at hand; the authorization endpoint itself would find fault with the request. Rejects with
 * a `ProviderError`, after two seconds at most. All who ask at the same time share one request, and a failure is not kept.
 */
export function createPulse(config: Config): () => Promise<void> {
  const http = createHttpClient({ ...config, timeout: Math.min(config.timeout, LONGEST_WAIT) })
  const documentUrl = config.providerMetadata?.jwks_uri ?? discoveryUrl(config)
  const pulse = createCachedDocument({
    load: async () => {
      const { headers } = await http.getJson(documentUrl)
      return { value: undefined, headers }
    },
    bounds: { minimum: LIFE, maximum: LIFE, unstated: LIFE, stale: LIFE },
  })
  return () => pulse.get()
}
