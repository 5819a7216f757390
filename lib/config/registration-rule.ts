import { parseHttpUrl } from './absolute-url.ts'
import { isJson } from './frozen-copy.ts'
import {
  callable,
  either,
  inOrder,
  members,
  must,
  objectWith,
  oneOf,
  optional,
  type Rule,
  trueOrFalse,
} from './rule.ts'
import { issuer } from './url-rules.ts'

/** Whether a token can go into a header: one word of printable ASCII, as RFC 6750 2.1 and Okta's tokens are. */
export function isHeaderToken(value: unknown): value is string {
  return typeof value === 'string' && /^[!-~]+$/.test(value)
}

const initialAccessToken: Rule = either(
  callable,
  must('be printable ASCII without spaces, or a function', isHeaderToken),
)

const initialAccessTokenScheme: Rule = oneOf('Bearer', 'SSWS')

/** An instance of a class will do, and so will an object that inherits its methods. */
const store: Rule = must('have the methods read, write and remove', (value) =>
  ['read', 'write', 'remove'].every((method) => typeof Object(value)[method] === 'function'),
)

/** What is in it is for the provider to judge. */
const metadata: Rule = inOrder(
  objectWith(() => []),
  must('hold only what JSON can hold', (value) => isJson(value)),
)

/** The option `registration`. */
export const registrationRule: Rule = members({
  metadata: optional(metadata),
  store,
  initialAccessToken: optional(initialAccessToken),
  initialAccessTokenScheme: optional(initialAccessTokenScheme),
})

/** Where clients are registered, for the functions that do so without `oidc()`. */
export const registrationEndpointRule: Rule = members({
  issuer: optional(issuer),
  registrationEndpoint: optional(
    must('be an absolute https URL without fragment or credentials', (value) => parseHttpUrl(value)?.hash === ''),
  ),
  initialAccessToken: optional(initialAccessToken),
  initialAccessTokenScheme: optional(initialAccessTokenScheme),
  timeout: optional(must('be a number of seconds above 0, at most 120', isTimeout)),
  fetch: optional(callable),
  dangerouslyAllowInsecureRequests: optional(trueOrFalse),
})

function isTimeout(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && value <= 120
}
