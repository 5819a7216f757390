/**
 * Makes the global `fetch` close each connection after its response. A connection that is kept alive has a timer, and if
 * undici ends the connection while a test mocks `clearTimeout`, the timer stays and throws in a later test of the process.
 */
export function closeConnectionsOfFetch(): void {
  // Node loads undici, and makes its agent, when one of its classes is used.
  void globalThis.Headers
  for (const symbol of Object.getOwnPropertySymbols(globalThis)) {
    const agent = Reflect.get(globalThis, symbol)
    if (!String(symbol).includes('undici.globalDispatcher') || agent?.constructor.name !== 'Agent') continue
    Reflect.set(globalThis, symbol, Reflect.construct(agent.constructor, [{ pipelining: 0 }]))
  }
}
