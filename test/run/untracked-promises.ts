// Imported in each process of the tests, before any module that imports node:test is loaded.
import asyncHooks, { type HookCallbacks } from 'node:async_hooks'

/**
 * node:test notes for each promise and each timer which test has made it, to tell which test has left an error behind. That
 * takes longer than everything else where there are many promises. So it is told of the tests alone: an error that nobody
 * catches still fails the run, as one of no test.
 */
const { createHook } = asyncHooks

/** Versions of Node that do not know this ignore it. */
const WITHOUT_PROMISES: object = { trackPromises: false }

asyncHooks.createHook = ({ init }) => createHook({ init: ofTests(init), ...WITHOUT_PROMISES })
// It takes `createHook` when it is loaded. Everybody else gets the true one.
await import('node:test')
asyncHooks.createHook = createHook

/** A suite finds its tests, and a test its hooks, by the resources of node:test itself. */
function ofTests(init: HookCallbacks['init']): NonNullable<HookCallbacks['init']> {
  return (...[id, type, trigger, resource]) => {
    if (type === 'Test') init?.(id, type, trigger, resource)
  }
}

// At once, because the test that waits for what has failed may not end.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => console.error(`${event} in a process of the tests:`, error))
}
