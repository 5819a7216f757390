/** One challenge of a server (RFC 9110 11.6.1). All of it is untrusted text. */
export interface Challenge {
  /** In small letters. */
  readonly scheme: string
  /** By their names in small letters. Of a repeated one the first counts. */
  readonly params: ReadonlyMap<string, string>
}

/** A token, with `=` and a value behind it or not (RFC 9110 5.6.2, 5.6.4). */
const PART = /([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+)))?/g

/** Longer than any challenge: what follows is left aside. */
const MAX_LENGTH = 4096

/** The challenges in the header `WWW-Authenticate`; several may stand in one line. What is no challenge is left aside. */
export function parseChallenges(header: string | null): readonly Challenge[] {
  const challenges: { scheme: string; params: Map<string, string> }[] = []
  for (const [, name = '', quoted, plain] of (header ?? '').slice(0, MAX_LENGTH).matchAll(PART)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain
    const params = challenges.at(-1)?.params
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), params: new Map() })
    else if (params?.has(name.toLowerCase()) === false) params.set(name.toLowerCase(), value)
  }
  return challenges
}
