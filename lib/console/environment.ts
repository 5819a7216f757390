/** True unless `NODE_ENV` is `production`: the reader of a failure is then the developer who can correct it. */
export function isDevelopment(): boolean {
  return process.env['NODE_ENV'] !== 'production'
}

/** True if what fails may be written to the console for the developer. The tests of an application cause failures on purpose. */
export function isConsoleForDevelopers(): boolean {
  const { NODE_ENV: mode, NODE_TEST_CONTEXT: testRunner } = process.env
  return isDevelopment() && mode !== 'test' && (mode !== undefined || testRunner === undefined)
}

/** True if standard error is a terminal with colors, and the user does not forbid them (https://no-color.org). */
export function hasColors(): boolean {
  return process.stderr.isTTY === true && !process.env['NO_COLOR'] && process.stderr.hasColors()
}

/** True if several processes serve this application: a worker of `node:cluster`, or of PM2. */
export function isOneOfSeveralProcesses(): boolean {
  return (
    Reflect.get(process.getBuiltinModule('node:cluster'), 'isWorker') === true ||
    process.env['NODE_APP_INSTANCE'] !== undefined
  )
}
