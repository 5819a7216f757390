import { OidcError } from '../errors.ts'
import { CONFIGURED, NOT_FETCHED, type ProviderStatus } from '../status.ts'
import type { OutcomeMemory } from '../time/outcome-memory.ts'
import type { CachedDocument } from './cached-document.ts'
import { errorFromStatus } from './error-response.ts'
import type { FetchBudget } from './fetch-budget.ts'
import { createJsonGetter, type HttpClient } from './http-client.ts'
import type { KeyStore } from './keys.ts'

/** The HTTP client, which remembers whether the provider has answered its last request. */
export function withOutcomes(http: HttpClient, outcomes: OutcomeMemory): HttpClient {
  const request: HttpClient['request'] = async (url, init) => {
    try {
      const response = await http.request(url, init)
      // A refusal is an answer. A server error or a rate limit says that the provider cannot answer.
      if (response.status >= 500 || response.status === 429) outcomes.failed(errorFromStatus(response).code)
      else outcomes.succeeded()
      return response
    } catch (error) {
      outcomes.failed(error instanceof OidcError ? error.code : 'unknown')
      throw error
    }
  }
  return { request, getJson: createJsonGetter(request) }
}

/** @param discovery Absent if the metadata is an option. */
export function statusOf(
  outcomes: OutcomeMemory,
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
