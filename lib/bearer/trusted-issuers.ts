import type { JsonObject } from '../jose/json.ts'
import type { BearerConfig, BearerIssuerConfig, FindIssuerConfig } from '../options/bearer-config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import { createAuthorizationServerFinder, type FindAuthorizationServer } from '../provider/authorization-server.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import { createIntrospection, type Introspect } from './introspect.ts'

/** An issuer whose tokens may be accepted. */
export interface TrustedIssuer {
  readonly config: BearerIssuerConfig
  readonly findServer: FindAuthorizationServer
  /** Set if the issuer is asked about tokens. */
  readonly introspect: Introspect | undefined
}

/** The issuers of one `bearer()` call. */
export interface TrustedIssuers {
  /** The issuer that these unverified claims name, or `undefined` if it is not trusted. A promise if it has to be found. */
  find(claims: JsonObject): TrustedIssuer | undefined | Promise<TrustedIssuer | undefined>
  /** Those that are known without a token. */
  readonly known: readonly TrustedIssuer[]
}

export function createTrustedIssuers({ issuers }: BearerConfig): TrustedIssuers {
  if (typeof issuers === 'function') return createFoundIssuers(issuers)
  const known = issuers.map((config) => createTrustedIssuer(config))
  return { known, find: (claims) => known.find(({ config }) => isIssuedBy(config.issuer, claims)) }
}

function createTrustedIssuer(
  config: BearerIssuerConfig,
  findServer: FindAuthorizationServer = createAuthorizationServerFinder(config),
): TrustedIssuer {
  const { introspection } = config
  return { config, findServer, introspect: introspection && createIntrospection({ config, findServer }, introspection) }
}

/** How long the answer of the function is kept, in milliseconds: an issuer, and a refusal. */
const KEPT = { found: 300_000, refused: 10_000 }
/** Anyone can send tokens with invented issuers, so the memory is bounded: the oldest answer goes first. */
const MAX_ANSWERS = 1000
/** In characters. */
const MAX_ISSUER_LENGTH = 2048

interface Answer {
  readonly issuer: TrustedIssuer | undefined
  readonly expiresAt: number
}

function createFoundIssuers(findConfig: FindIssuerConfig): TrustedIssuers {
  const answers = new Map<string, Answer>()
  const findOnce = createSingleFlight<string, TrustedIssuer | undefined>()

  async function ask(iss: string): Promise<TrustedIssuer | undefined> {
    const earlier = answers.get(iss)
    const config = await findConfig(iss)
    const issuer = config && createTrustedIssuer(config, reusableServer(earlier?.issuer, config))
    answers.delete(iss)
    answers.set(iss, { issuer, expiresAt: Date.now() + (issuer === undefined ? KEPT.refused : KEPT.found) })
    const [oldest] = answers.keys()
    if (answers.size > MAX_ANSWERS && oldest !== undefined) answers.delete(oldest)
    return issuer
  }

  async function find(claims: JsonObject): Promise<TrustedIssuer | undefined> {
    const { iss } = claims
    if (typeof iss !== 'string' || iss.length > MAX_ISSUER_LENGTH) return undefined
    const answer = answers.get(iss)
    const isKept = answer !== undefined && Date.now() < answer.expiresAt
    const issuer = isKept ? answer.issuer : await findOnce(iss, () => ask(iss))
    // The function may return another issuer than it was asked for.
    return issuer !== undefined && isIssuedBy(issuer.config.issuer, claims) ? issuer : undefined
  }

  return { find, known: [] }
}

/**
 * The same options mean the same server, whose keys stay. Functions among the options are not compared, because most are made
 * anew by each call: `tenants` and a `clientSecret`. No server uses them.
 */
function reusableServer(
  issuer: TrustedIssuer | undefined,
  config: BearerIssuerConfig,
): FindAuthorizationServer | undefined {
  const isSame = issuer !== undefined && JSON.stringify(issuer.config) === JSON.stringify(config)
  return isSame ? issuer.findServer : undefined
}
