import type { Request } from 'express'
import type { IdTokenClaims } from '../lib/index.ts'
import type { Visitor } from './pages/layout.ts'

/** The user who is logged in, as pages need it. */
export function visitorOf(req: Request): Visitor | undefined {
  // If the session store fails, the error page is rendered without req.oidc.
  return req.oidc?.isAuthenticated ? toVisitor(req.oidc.claims) : undefined
}

/** The name to greet with. Only `sub` always exists, and the provider may send any other claim with any type. */
export function toVisitor({ name, preferred_username, email, sub }: IdTokenClaims): Visitor {
  return { name: textOf(name) ?? textOf(preferred_username) ?? textOf(email) ?? sub, email: textOf(email) }
}

/** The claim, if it is text. The types of claims say what the standard wants, not what the provider sent. */
function textOf(claim: unknown): string | undefined {
  return typeof claim === 'string' && claim.trim() !== '' ? claim.trim() : undefined
}
