import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach } from 'node:test'
import type { Events } from '../../../lib/index.ts'

/** The codes of the events `express-oidc:error` of each test, in order. Sets hooks. */
export function observeErrors(): { readonly codes: readonly string[] } {
  const codes: string[] = []
  const listener = (message: unknown): void => void codes.push((message as Events['express-oidc:error']).code)
  beforeEach(() => {
    codes.length = 0
    subscribe('express-oidc:error', listener)
  })
  afterEach(() => void unsubscribe('express-oidc:error', listener))
  return { codes }
}
