import assert from 'node:assert/strict'
import { beforeEach } from 'node:test'
import type { Browser } from '../browser/browser.ts'
import type { Answer } from '../browser/http-exchange.ts'
import { CAEP, push, SESSION_REVOKED, startTransmitter, type Transmitter } from '../servers/transmitter.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { AnyOptions, TestApp } from './app.ts'
import { subjectOf } from './logout-observer.ts'
import { type AppSettings, type Stage, share } from './stage.ts'

/** A transmitter for all tests of a file, and apps that take its events. */
export interface SignalsStand {
  readonly transmitter: Transmitter
  /** The option for the provider of the stage. */
  readonly sharedSignals: NonNullable<AnyOptions['sharedSignals']>
  /** An app and a browser in which a user is logged in. */
  startLoggedIn(options?: Partial<AnyOptions>, settings?: AppSettings): Promise<Arrived>
  /** Signs and posts the claims of a SET, with a subject and the event session-revoked unless they say otherwise. */
  send(app: Pick<TestApp, 'baseUrl'>, claims?: JsonObject, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** The subject of a user as SSF 1.0 has it. */
  userOf(arrived: Pick<Arrived, 'sub'>): JsonObject
}

export interface Arrived {
  readonly app: TestApp
  readonly browser: Browser
  readonly sub: string
  readonly sid: string
}

export function securityEventsUri({ baseUrl }: Pick<TestApp, 'baseUrl'>): string {
  return `${baseUrl}/security-events`
}

export function createSignalsStand(stage: Stage): SignalsStand {
  const transmitter = share(() => startTransmitter())
  beforeEach(() => transmitter().reset())
  const stand: SignalsStand = {
    get transmitter() {
      return transmitter()
    },
    get sharedSignals() {
      const { issuer, audience } = transmitter()
      return { issuer, audience }
    },
    async startLoggedIn(options = {}, settings = {}) {
      const { app, browser } = await stage.startLoggedIn({ sharedSignals: stand.sharedSignals, ...options }, settings)
      return { app, browser, ...(await subjectOf(browser, app)) }
    },
    send: (app, claims = {}, headers = {}) => {
      const set = transmitter().sign(transmitter().claims({ events: { [SESSION_REVOKED]: {} }, ...claims }))
      return push(securityEventsUri(app), set, headers)
    },
    userOf: ({ sub }) => ({ format: 'iss_sub', iss: transmitter().issuer, sub }),
  }
  return stand
}

/** RFC 8935 2.2: no content, and never a cookie. */
export function assertAccepted(answer: Answer): void {
  assert.deepEqual([answer.status, answer.body, answer.setCookies], [202, '', []])
  assert.equal(answer.headers['cache-control'], 'no-store')
}

export const TOKEN_CLAIMS_CHANGE: string = `${CAEP}token-claims-change`
