/** The frameworks that every flow is tested in. */
export const HOSTS = ['express5', 'express4', 'connect'] as const

export type Host = (typeof HOSTS)[number]
