/** A rule about several options at once. */
export interface Conflict<Options> {
  /** Asked only where each of these is sound on its own. */
  readonly between: readonly (string & keyof Options)[]
  readonly faults: (options: Readonly<Partial<Options>>) => readonly string[]
}

/** A conflict of one sentence. */
export function conflict<Options>(
  between: Conflict<Options>['between'],
  sentence: string,
  holds: (options: Readonly<Partial<Options>>) => boolean,
): Conflict<Options> {
  return { between, faults: (options) => (holds(options) ? [sentence] : []) }
}

/** One sentence for each contradiction between options; `isSound` tells which options have no fault of their own. */
export function findConflicts<Options>(
  conflicts: readonly Conflict<Options>[],
  options: Readonly<Partial<Options>>,
  isSound: (name: string) => boolean,
): readonly string[] {
  return conflicts.filter(({ between }) => between.every(isSound)).flatMap(({ faults }) => faults(options))
}

/** RFC 9700 2.6, OIDC Core 16.17: loopback is no exception, for the same value then goes to production. */
export function insecureUrl(isAllowed: boolean | undefined, url: unknown, name: string): readonly string[] {
  if (isAllowed === true || !String(url).startsWith('http:')) return []
  return [`${name} must be https; for development, plain http needs dangerouslyAllowInsecureRequests: true.`]
}
