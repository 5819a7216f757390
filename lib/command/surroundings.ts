/** What the command has of the process that it runs in. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes results. */
  readonly print: (text: string) => unknown
  /** Writes what is no result: faults, advice, and what was done. */
  readonly warn: (text: string) => unknown
}

/** The same for a command that has come to know secrets. */
export interface Terminal extends Surroundings {
  /** Has `warn` leave this out from now on: a provider may repeat a token in its refusal. */
  readonly conceal: (secret: string | undefined) => void
}

/** Surroundings in which secrets can be concealed. */
export function createTerminal(surroundings: Surroundings): Terminal {
  const secrets = new Set<string>()
  return {
    ...surroundings,
    conceal(secret) {
      if (secret !== undefined) secrets.add(secret)
    },
    warn(text) {
      surroundings.warn([...secrets].reduce((left, secret) => left.replaceAll(secret, '********'), text))
    },
  }
}

/** The command was called in a way that cannot be understood: exit code 2. */
export class UsageError extends Error {}
