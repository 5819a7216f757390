import { OidcError } from '../errors.ts'
import { CONFIGURED, NOT_FETCHED, type ProviderStatus } from '../status.ts'
import { createOutcomeMemory, type OutcomeMemory } from '../time/outcome-memory.ts'
import type { CachedDocument } from './cached-document.ts'
import { errorFromStatus } from './error-response.ts'
import type { FetchBudget } from './fetch-budget.ts'
import { createJsonGetter, type HttpClient } from './http-client.ts'
import { withoutQuery } from './http-transport.ts'
import type { KeyStore } from './keys.ts'

/** How the last requests to each endpoint of a provider have ended. */
export interface EndpointOutcomes {
  of(url: string): OutcomeMemory
  status(): Pick<ProviderStatus, 'isReachable' | 'lastError' | 'endpoints'>
}

/** A provider has a dozen endpoints. New metadata may name others: the oldest are forgotten then. */
const MAX_ENDPOINTS = 32

export function createEndpointOutcomes(): EndpointOutcomes {
  const memories = new Map<string, OutcomeMemory>()
  return {
    of(url) {
      const memory = memories.get(url) ?? createOutcomeMemory()
      memories.set(url, memory)
      const [oldest] = memories.keys()
      if (memories.size > MAX_ENDPOINTS && oldest !== undefined) memories.delete(oldest)
      return memory
    },
    status() {
      const endpoints = Object.fromEntries([...memories].map(([url, memory]) => [url, memory.status()]))
      const all = Object.values(endpoints)
      const errors = all.flatMap(({ lastError }) => lastError ?? []).sort((one, other) => other.at - one.at)
      const isReachable = all.length === 0 ? null : all.every((one) => one.isReachable !== false)
      return { isReachable, lastError: errors[0] ?? null, endpoints }
    },
  }
}

/** The HTTP client, which remembers whether each endpoint has answered its last request. */
export function withOutcomes(http: HttpClient, outcomes: EndpointOutcomes): HttpClient {
  const request: HttpClient['request'] = async (url, init) => {
    const outcome = outcomes.of(withoutQuery(url))
    try {
      const response = await http.request(url, init)
      // A refusal is an answer. A server error or a rate limit says that the provider cannot answer.
      if (response.status >= 500 || response.status === 429) outcome.failed(errorFromStatus(response).code)
      else outcome.succeeded()
      return response
    } catch (error) {
      outcome.failed(error instanceof OidcError ? error.code : 'unknown')
      throw error
    }
  }
  return { request, getJson: createJsonGetter(request) }
}

/** @param discovery Absent if the metadata is an option. */
export function statusOf(
  outcomes: EndpointOutcomes,
  keys: KeyStore | undefined,
  discovery: Pick<CachedDocument<unknown>, 'status'> | undefined,
  budget: FetchBudget | undefined,
): Omit<ProviderStatus, 'issuer'> {
  return {
    ...outcomes.status(),
    metadata: discovery?.status() ?? CONFIGURED,
    keys: keys?.status() ?? NOT_FETCHED,
    fetchBudget: { keys: keys?.budgetLeft() ?? null, metadata: budget?.left() ?? null },
  }
}
