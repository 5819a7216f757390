import type { ServerResponse } from 'node:http'
import { findFault, type StrictContext, type StrictRequest, sendChanged } from './context.ts'

const REL = 'http://openid.net/specs/connect/1.0/issuer'

/** OIDC Discovery 2: tells which issuer a person is at. */
export function answerWebfinger(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  const { method, query } = request
  const resource = query.get('resource') ?? ''
  const { host, hostname } = new URL(context.issuer)
  const named = hostOf(resource)
  const fault = findFault(context, '/webfinger', [
    [method !== 'GET', 'invalid_request', 'the method is not GET'],
    [query.get('rel') !== REL, 'invalid_request', 'rel is not that of issuers'],
    [named === undefined, 'invalid_request', 'resource is neither an account nor an address'],
    [named !== undefined && named !== host && named !== hostname, 'invalid_request', 'resource is at another host'],
  ])
  if (fault) {
    sendChanged(res, {}, context.change.webfinger, { status: 404 })
    return
  }
  const headers = { 'Content-Type': 'application/jrd+json' }
  const links = [{ rel: REL, href: context.issuer }]
  sendChanged(res, { subject: resource, links }, context.change.webfinger, { headers })
}

/** OIDC Discovery 2.1: `acct:joe@example.test`, or an https address (http, where the tests have no TLS). */
function hostOf(resource: string): string | undefined {
  const [, account] = /^acct:[^@\s]+(?:@[^@\s]+)*@([\w.:-]+)$/.exec(resource) ?? []
  if (account !== undefined) return account
  return /^https?:\/\//.test(resource) && URL.canParse(resource) ? new URL(resource).host : undefined
}
