// What people bring from other middlewares and from the wire, where spelling alone does not lead to our name.
const RELATIVES: ReadonlyMap<string, string> = new Map([
  ['redirecturi', 'baseUrl'],
  ['redirecturl', 'baseUrl'],
  ['loginredirecturi', 'baseUrl'],
  ['callbackurl', 'baseUrl'],
  ['appbaseurl', 'baseUrl'],
  ['logoutredirecturi', 'postLogoutRedirectUri'],
  ['issuerbaseurl', 'issuer'],
  ['idtokensigningalg', 'idTokenSignedResponseAlg'],
  ['clientauthmethod', 'tokenEndpointAuthMethod'],
  ['maxclockskew', 'clockTolerance'],
  ['httptimeout', 'timeout'],
  ['aftercallback', 'afterLogin'],
  ['signin', 'login'],
  ['signout', 'logout'],
])

/** From which likeness on a name is worth suggesting. */
const LIKENESS = 0.4

/**
 * One sentence for each name that is not known, with the nearest known one. `prefix` stands before both names, as in
 * `routes.`.
 */
export function unknownNames(given: object, known: readonly string[], prefix: string = ''): readonly string[] {
  return Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const nearest = nearestName(name, known)
      return `${prefix}${name} is not an option${nearest === undefined ? '.' : `; did you mean ${prefix}${nearest}?`}`
    })
}

function nearestName(name: string, known: readonly string[]): string | undefined {
  // What sounds like one of ours is a slip of the pen; what every object has is not.
  if (name in Object.prototype) return undefined
  const wanted = fold(name)
  const relative = RELATIVES.get(wanted)
  return known.find((candidate) => candidate === relative) ?? mostAlike(wanted, known)
}

function mostAlike(wanted: string, known: readonly string[]): string | undefined {
  let best: { name?: string; likeness: number } = { likeness: LIKENESS }
  for (const name of known) {
    const likeness = likenessOf(pairsOf(wanted), pairsOf(fold(name)))
    if (likeness >= best.likeness) best = { name, likeness }
  }
  return best.name
}

/** `client_id`, `clientID` and `CLIENT-ID` are one name. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** Dice's coefficient: the share of neighbouring letters that two names have in common, from 0 to 1. */
function likenessOf(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const shared = [...one].filter((pair) => other.has(pair))
  return (2 * shared.length) / (one.size + other.size)
}

function pairsOf(name: string): ReadonlySet<string> {
  return new Set(Array.from(name, (_, index) => name.slice(index, index + 2)).slice(0, -1))
}
