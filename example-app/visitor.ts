import type { Request } from 'express'
import type { IdTokenClaims } from '../lib/index.ts'
import type { Visitor } from './pages/layout.ts'

/** Who is signed in, as pages want it; `undefined` where nobody is. */
export function visitorOf(req: Request): Visitor | undefined {
  // A fault of the session store is told before there is a req.oidc.
  return req.oidc?.isAuthenticated ? toVisitor(req.oidc.claims) : undefined
}

/** The name to greet with: whichever the provider gave, for only `sub` is always there. */
export function toVisitor({ name, preferred_username, email, sub }: IdTokenClaims): Visitor {
  return { name: name ?? preferred_username ?? email ?? sub, email }
}
