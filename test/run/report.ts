import { spec } from 'node:test/reporters'

/** What we use of the events of node:test, which differ a little among the versions of Node. */
export interface TestEvent {
  readonly type: string
  readonly data: {
    readonly name?: string
    readonly nesting?: number
    readonly skip?: string | boolean
    readonly todo?: string | boolean
    readonly message?: string
    readonly details?: { readonly duration_ms?: number }
  }
}

type Events = AsyncIterable<TestEvent>

/** What a run has come to. */
export interface Outcome {
  /** Milliseconds of each file that has come to its end. */
  readonly durations: Map<string, number>
  hasFailed: boolean
}

/** node:test calls this a diagnostic, when the test is over; for us it is a failure. */
const LATE_FAILURE = /asynchronous activity after the test ended/

/** Notes what the events tell, and passes them on. */
export function noteOutcome(outcome: Outcome): (events: Events) => Events {
  return async function* (events) {
    for await (const event of events) {
      const { name = '', nesting, message = '', details } = event.data
      if (event.type === 'test:fail') outcome.hasFailed = true
      if (event.type === 'test:diagnostic' && LATE_FAILURE.test(message)) outcome.hasFailed = true
      const isEnd = event.type === 'test:pass' || event.type === 'test:fail'
      if (isEnd && nesting === 0) outcome.durations.set(name, details?.duration_ms ?? 0)
      yield event
    }
  }
}

/** Leaves out the tests within a file that pass: ten thousand lines hide the one that matters. */
export async function* withoutPasses(events: Events): Events {
  const hidden: TestEvent[] = []
  for await (const event of events) {
    const { nesting = 0, skip, todo } = event.data
    if (event.type === 'test:start' && nesting > 0) {
      hidden.push(event)
      continue
    }
    const isPlainPass = event.type === 'test:pass' && nesting > 0 && skip === undefined && todo === undefined
    if (isPlainPass && hidden.at(-1)?.data.nesting === nesting) {
      hidden.pop()
      continue
    }
    if (event.type === 'test:pass' || event.type === 'test:fail') yield* hidden.splice(0)
    yield event
  }
}

/** A new reporter for people. Its type is that of a class in some versions of `@types/node`, and of a function in others. */
export function createSpec(): NodeJS.ReadWriteStream {
  return Reflect.construct(spec as unknown as new () => NodeJS.ReadWriteStream, [])
}

/** The files that took longest, as a list. */
export function slowest({ durations }: Outcome, count: number): string {
  const sorted = [...durations].sort(([, one], [, other]) => other - one).slice(0, count)
  return sorted.map(([file, milliseconds]) => `${(milliseconds / 1000).toFixed(1).padStart(7)} s  ${file}`).join('\n')
}
