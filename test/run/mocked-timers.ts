import { mock } from 'node:test'

/**
 * Lets the mocked `clearTimeout` and `clearInterval` clear only what was made under the same `mock.timers.enable()`, and the
 * real ones whatever else they are given. Node's own remove, for a timer of an earlier mocking, the first timer of this one
 * (then the test waits for ever), and leave a real timer running (then it goes off in a later test).
 */
export function separateMockedTimers(): void {
  const { timers } = mock
  const enable = timers.enable.bind(timers)
  const real = { setTimeout, setInterval, clearTimeout, clearInterval }
  timers.enable = (options) => {
    enable(options)
    if (globalThis.setTimeout !== real.setTimeout) separate('setTimeout', 'clearTimeout', real.clearTimeout)
    if (globalThis.setInterval !== real.setInterval) separate('setInterval', 'clearInterval', real.clearInterval)
  }
}

type Make = (run: (...args: unknown[]) => void, milliseconds?: number, ...args: unknown[]) => NodeJS.Timeout
type Clear = (timer?: NodeJS.Timeout | string | number) => void

/** Replaces two mocked globals. Node puts the real ones back when the mocking ends. */
function separate(set: 'setTimeout' | 'setInterval', clear: 'clearTimeout' | 'clearInterval', clearReal: Clear): void {
  const setMocked: Make = globalThis[set]
  const clearMocked: Clear = globalThis[clear]
  const own = new WeakSet<object>()
  const setOwn: Make = (...args) => {
    const timer = setMocked(...args)
    own.add(timer)
    return timer
  }
  const clearOwn: Clear = (timer) => {
    if (typeof timer === 'object' && own.has(timer)) clearMocked(timer)
    else clearReal(timer)
  }
  Object.assign(globalThis, { [set]: Object.assign(setOwn, setMocked), [clear]: clearOwn })
}
