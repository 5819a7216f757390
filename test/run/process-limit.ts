/**
 * How long one process of the tests may take, in seconds. The slowest takes two minutes on a busy machine. The timeout of
 * `run()` is no such limit: newer versions of Node apply it to each test, and wait for a process that does not end.
 */
export const MAX_PROCESS_SECONDS = 600

/**
 * Ends this process after so many seconds, and names the file that it was at. Returns the function to call with each file.
 * Call it before timers are mocked.
 */
export function limitProcess(seconds: number): (file: string) => void {
  let current = 'a file'
  const end = (): void => {
    process.stderr.write(`✖ ${current} hangs: its process has not ended within ${seconds} seconds\n`)
    process.exit(1)
  }
  setTimeout(end, seconds * 1000).unref()
  return (file) => {
    current = file
  }
}
