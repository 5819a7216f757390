import type { ServerResponse } from 'node:http'
import { type Demand, type Fault, hasDuplicates, type JsonChange, type StrictRequest, sendChanged } from './context.ts'

/** What every endpoint demands that takes a form from the client itself. */
export function formDemands({ method, headers, query, form }: StrictRequest): readonly Demand[] {
  const type = headers['content-type'] ?? ''
  return [
    [method !== 'POST', 'invalid_request', 'the method is not POST'],
    [!/^application\/x-www-form-urlencoded(;|$)/.test(type), 'invalid_request', 'the body is not a form'],
    [[...query].length > 0, 'invalid_request', 'there are parameters in the query'],
    [hasDuplicates(form), 'invalid_request', 'a parameter is repeated'],
  ]
}

/** The refusal of such an endpoint (RFC 6749 5.2). */
export function sendRefusal(res: ServerResponse, fault: Fault | undefined, change: JsonChange | undefined): void {
  const answer = { error: fault?.error, error_description: fault?.fault }
  const isUnknownClient = fault?.error === 'invalid_client'
  const headers: Record<string, string> = isUnknownClient ? { 'WWW-Authenticate': 'Basic realm="token"' } : {}
  sendChanged(res, answer, change, { status: isUnknownClient ? 401 : 400, headers })
}
