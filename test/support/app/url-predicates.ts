// Where a browser is stopped on the way of a login or logout: apps are on 127.0.0.1, providers on localhost.

export function isAtProvider({ hostname }: URL): boolean {
  return hostname === 'localhost'
}

export function isCallback({ pathname }: URL): boolean {
  return pathname === '/callback'
}
