import { inOrder, must, type Rule } from './rule.ts'
import { issuer } from './url-rules.ts'

/**
 * The issuers from which aggregated and distributed claims are taken (OIDC Core 5.6.2): each as `issuer` is, compared
 * character by character, and none twice.
 */
export const claimsProvidersRule: Rule = inOrder(
  must('be a list of issuers', Array.isArray),
  (value, name) => [value].flat().flatMap((one, index) => issuer(one, `${name}[${index}]`)),
  must('name no issuer twice', (value) => new Set([value].flat()).size === [value].flat().length),
)
