import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { after, before, beforeEach, describe, it, mock } from 'node:test'
import express from 'express'
import type { Events, Handler, SecurityEventEvent } from '../../lib/index.ts'
import { readEventSubject } from '../../lib/protocol/event-subject.ts'
import { createVerificationState } from '../../lib/protocol/verification-state.ts'
import { codesOf } from '../support/app/app.ts'
import { isIn, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import {
  assertAccepted,
  createSignalsStand,
  securityEventsUri,
  TOKEN_CLAIMS_CHANGE,
} from '../support/app/signals-stand.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { FaultyStore } from '../support/hostile/fault-injection.ts'
import {
  CAEP,
  CREDENTIAL_CHANGE,
  push,
  RISC,
  SESSION_REVOKED,
  startTransmitter,
  VERIFICATION,
} from '../support/servers/transmitter.ts'
import { type JsonObject, now } from '../support/strict-provider/context.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const stand = createSignalsStand(stage)
const seen = observeLogouts()

const published: Events['express-oidc:security-event'][] = []
const onEvent = (message: unknown): void => void published.push(message as Events['express-oidc:security-event'])
before(() => subscribe('express-oidc:security-event', onEvent))
beforeEach(() => {
  published.length = 0
})
after(() => unsubscribe('express-oidc:security-event', onEvent))

const device = { format: 'opaque', id: 'device-1' }

/** Lets this many seconds pass. */
function pass(seconds: number): void {
  const time = Date.now() + seconds * 1000
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date'], now: time })
}

describe('a security event', () => {
  it('ends the sessions of a user, as Okta sends it: the subject in the event, milliseconds, no sub_id and no txn', async () => {
    const { app, browser, sub } = await stand.startLoggedIn()
    const { issuer } = stand.transmitter
    const event = {
      subject: { format: 'iss_sub', iss: issuer, sub },
      reason_admin: { en: 'User logout from Okta' },
      event_timestamp: Date.now(),
    }
    assertAccepted(await stand.send(app, { events: { [SESSION_REVOKED]: event } }))
    assert.deepEqual([await isIn(browser), await app.sessions(), app.otherErrors], [false, 0, []])
    assert.deepEqual(
      seen.logouts.map(({ how }) => how),
      ['security-event'],
    )
    assert.deepEqual(published[0], {
      provider: 'default',
      issuer,
      type: SESSION_REVOKED,
      isKnownSubject: true,
      ended: 1,
    })
  })

  it('ends the sessions of a user, as SSF 1.0 has it', async () => {
    const arrived = await stand.startLoggedIn()
    const events = { [SESSION_REVOKED]: { event_timestamp: now(), initiating_entity: 'policy' } }
    assertAccepted(await stand.send(arrived.app, { txn: '8675309', sub_id: stand.userOf(arrived), events }))
    assert.equal(await isIn(arrived.browser), false)
  })

  // [the event type, its members, whether sessions end]
  const TYPES: readonly (readonly [type: string, event: object, ends: boolean])[] = [
    [SESSION_REVOKED, {}, true],
    [TOKEN_CLAIMS_CHANGE, { claims: { role: 'guest' } }, true],
    ...(['update', 'revoke', 'delete'] as const).map(
      (change_type) => [CREDENTIAL_CHANGE, { credential_type: 'password', change_type }, true] as const,
    ),
    [CREDENTIAL_CHANGE, { credential_type: 'fido2-roaming', change_type: 'create' }, false],
    [
      `${CAEP}assurance-level-change`,
      { namespace: 'NIST-AAL', current_level: 'nist-aal1', change_direction: 'decrease' },
      false,
    ],
    [
      `${CAEP}assurance-level-change`,
      { namespace: 'NIST-AAL', current_level: 'nist-aal2', change_direction: 'increase' },
      false,
    ],
    [`${CAEP}device-compliance-change`, { previous_status: 'compliant', current_status: 'not-compliant' }, false],
    [`${RISC}account-disabled`, { reason: 'hijacking' }, true],
    [`${RISC}account-purged`, {}, true],
    [`${RISC}sessions-revoked`, {}, true],
    [`${RISC}account-credential-change-required`, {}, false],
    [`${RISC}account-enabled`, {}, false],
    ['https://schemas.openid.net/secevent/ssf/event-type/stream-updated', { status: 'paused' }, false],
    ['urn:example:unknown', {}, false],
  ]

  for (const [type, event, ends] of TYPES) {
    it(`${type.split('/').at(-1)} ${JSON.stringify(event)} ${ends ? 'ends' : 'does not end'} sessions`, async () => {
      const hooked: SecurityEventEvent[] = []
      const onSecurityEvent = (one: SecurityEventEvent): void => void hooked.push(one)
      const arrived = await stand.startLoggedIn({ hooks: { onSecurityEvent } })
      const subject = stand.userOf(arrived)
      assertAccepted(await stand.send(arrived.app, { iat: now() + 5, sub_id: subject, events: { [type]: event } }))
      assert.equal(await isIn(arrived.browser), !ends)
      const [{ req, occurredAt, ...told }] = hooked as [SecurityEventEvent]
      const { issuer } = stand.transmitter
      assert.deepEqual(told, { provider: 'default', issuer, type, event, subject, ended: ends ? 1 : 0 })
      assert.ok(occurredAt <= now() && req.url === '/security-events')
    })
  }

  it('of two names of one event ends sessions if one of them does', async () => {
    const arrived = await stand.startLoggedIn()
    const events = { 'urn:example:session-revoked': {}, [SESSION_REVOKED]: {} }
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived), events }))
    assert.equal(await isIn(arrived.browser), false)
  })
})

describe('the time of a security event', () => {
  // [name, the members that say when, from now in seconds, whether the login ends that has just begun]
  const TIMES: readonly (readonly [name: string, claims: () => JsonObject, event: () => JsonObject, ends: boolean])[] =
    [
      ['event_timestamp in this second', () => ({}), () => ({ event_timestamp: now() + 2 }), true],
      ['event_timestamp in milliseconds', () => ({}), () => ({ event_timestamp: Date.now() }), true],
      ['no event_timestamp, iat now', () => ({}), () => ({}), true],
      ['event_timestamp before the login, iat after it', () => ({}), () => ({ event_timestamp: now() - 5 }), false],
      [
        'event_timestamp in milliseconds before the login',
        () => ({}),
        () => ({ event_timestamp: Date.now() - 5000 }),
        false,
      ],
      ['no event_timestamp, iat before the login', () => ({ iat: now() - 5 }), () => ({}), false],
      [
        'iat a year ago, event_timestamp now',
        () => ({ iat: now() - 31_536_000 }),
        () => ({ event_timestamp: now() }),
        true,
      ],
      [
        'event_timestamp a year ago',
        () => ({ iat: now() - 31_536_000 }),
        () => ({ event_timestamp: now() - 31_536_000 }),
        false,
      ],
    ]

  for (const [name, claims, event, ends] of TIMES) {
    it(`${ends ? 'ends' : 'does not end'} a login: ${name}`, async () => {
      const arrived = await stand.startLoggedIn()
      const given = { sub_id: stand.userOf(arrived), events: { [SESSION_REVOKED]: event() }, ...claims() }
      assertAccepted(await stand.send(arrived.app, given))
      assert.equal(await isIn(arrived.browser), !ends)
    })
  }

  it('in the future ends no login that begins after the event has arrived', async () => {
    const arrived = await stand.startLoggedIn()
    const events = { [SESSION_REVOKED]: { event_timestamp: now() + 3600 } }
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived), events }))
    pass(2)
    const browser = arrived.app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('leaves a later login in the index, so that the next event ends it', async () => {
    const arrived = await stand.startLoggedIn()
    const sub_id = stand.userOf(arrived)
    assertAccepted(await stand.send(arrived.app, { sub_id, iat: now() - 60 }))
    assert.equal(await isIn(arrived.browser), true)
    assertAccepted(await stand.send(arrived.app, { sub_id }))
    assert.equal(await isIn(arrived.browser), false)
  })

  it('refuses a login that began before the event and is in progress', async () => {
    const arrived = await stand.startLoggedIn()
    const browser = arrived.app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived) }))
    const page = await browser.go(next)
    assert.deepEqual([page.status, codesOf(arrived.app)], [400, ['ERR_OIDC_LOGIN_ENDED']])
    assert.equal(await arrived.app.sessions(), 0)
  })

  it('ends a login that began before the event and was completed after it', async () => {
    const arrived = await stand.startLoggedIn()
    const browser = arrived.app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    const event_timestamp = now()
    pass(30)
    assert.equal((await browser.go(next)).status, 200)
    const events = { [SESSION_REVOKED]: { event_timestamp } }
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived), events }))
    assert.equal(await isIn(browser), false)
  })

  it('lets a login complete that began after the event, though the event arrives while it is in progress', async () => {
    const arrived = await stand.startLoggedIn()
    const browser = arrived.app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived), iat: now() - 60 }))
    assert.equal((await browser.go(next)).status, 200)
  })
})

type Subject = (arrived: { sub: string; sid: string }, iss: string) => JsonObject

describe('the subject of a security event', () => {
  const user = ({ sub }: { sub: string }, iss: string) => ({ format: 'iss_sub', iss, sub })

  const ENDS: readonly (readonly [name: string, subject: Subject])[] = [
    ['iss_sub of the transmitter', user],
    ['iss_sub of the issuer of the ID Tokens', ({ sub }) => ({ format: 'iss_sub', iss: stage.provider.issuer, sub })],
    ['opaque: the id of the session', ({ sid }) => ({ format: 'opaque', id: sid })],
    ['email', () => ({ format: 'email', email: 'ALICE@example.test' })],
    ['complex: user', (one, iss) => ({ format: 'complex', user: user(one, iss) })],
    ['complex without its format, as Okta sends it', (one, iss) => ({ user: user(one, iss) })],
    ['complex: session', ({ sid }) => ({ format: 'complex', session: { format: 'opaque', id: sid } })],
    [
      'complex: session as iss_sub',
      ({ sid }, iss) => ({ format: 'complex', session: { format: 'iss_sub', iss, sub: sid } }),
    ],
    [
      'complex: user and session that belong together',
      (one, iss) => ({ format: 'complex', user: user(one, iss), session: { format: 'opaque', id: one.sid } }),
    ],
    [
      'complex: email and session that belong together',
      ({ sid }) => ({
        format: 'complex',
        user: { format: 'email', email: 'alice@example.test' },
        session: { format: 'opaque', id: sid },
      }),
    ],
    [
      'complex: user with device, tenant, group and a member of its own',
      (one, iss) => ({
        format: 'complex',
        user: user(one, iss),
        device: device,
        tenant: device,
        group: device,
        x: device,
      }),
    ],
    [
      'complex: user with a session in a format that is not known',
      (one, iss) => ({
        format: 'complex',
        user: user(one, iss),
        session: { format: 'saml_assertion_id', issuer: 'x' },
      }),
    ],
  ]

  for (const [name, subject] of ENDS) {
    it(`ends the session: ${name}`, async () => {
      const arrived = await stand.startLoggedIn()
      assertAccepted(await stand.send(arrived.app, { sub_id: subject(arrived, stand.transmitter.issuer) }))
      assert.deepEqual([await isIn(arrived.browser), published[0]?.isKnownSubject], [false, true])
    })
  }

  it('is sub_id if the event names another', async () => {
    const arrived = await stand.startLoggedIn()
    const subject = { format: 'iss_sub', iss: stand.transmitter.issuer, sub: 'another' }
    await stand.send(arrived.app, { sub_id: stand.userOf(arrived), events: { [SESSION_REVOKED]: { subject } } })
    assert.equal(await isIn(arrived.browser), false)
  })

  const STANDS: readonly (readonly [name: string, subject: Subject])[] = [
    ['another user', (_one, iss) => ({ format: 'iss_sub', iss, sub: 'another' })],
    ['another issuer', ({ sub }) => ({ format: 'iss_sub', iss: 'https://other.example', sub })],
    ['another session', () => ({ format: 'opaque', id: 'another' })],
    ['another email', () => ({ format: 'email', email: 'bob@example.test' })],
    ['the sub as an opaque id', ({ sub }) => ({ format: 'opaque', id: sub })],
    ...['phone_number', 'account', 'did', 'uri', 'aliases', 'jwt_id', 'saml_assertion_id', 'ip-addresses', 'x-own'].map(
      (format): readonly [string, Subject] => [format, ({ sub }, iss) => ({ format, iss, sub, id: sub, jti: sub })],
    ),
    ...['device', 'tenant', 'group', 'org_unit', 'application'].map((member): readonly [string, Subject] => [
      `complex: ${member} alone`,
      (one, iss) => ({ format: 'complex', [member]: user(one, iss) }),
    ]),
    [
      'complex: the session of another user',
      (one, iss) => ({
        format: 'complex',
        user: { format: 'iss_sub', iss, sub: 'another' },
        session: { format: 'opaque', id: one.sid },
      }),
    ],
    [
      'complex: another session of the user',
      (one, iss) => ({ format: 'complex', user: user(one, iss), session: { format: 'opaque', id: 'another' } }),
    ],
    [
      'complex: the session with another email',
      ({ sid }) => ({
        format: 'complex',
        user: { format: 'email', email: 'bob@example.test' },
        session: { format: 'opaque', id: sid },
      }),
    ],
    [
      'complex: the session, with a user of another issuer',
      ({ sub, sid }) => ({
        format: 'complex',
        user: { format: 'iss_sub', iss: 'https://other.example', sub },
        session: { format: 'opaque', id: sid },
      }),
    ],
    [
      'complex: a session that is only an email',
      () => ({ format: 'complex', session: { format: 'email', email: 'alice@example.test' } }),
    ],
    ['complex: a user that is only opaque', ({ sub }) => ({ format: 'complex', user: { format: 'opaque', id: sub } })],
  ]

  for (const [name, subject] of STANDS) {
    it(`is accepted and ends nothing: ${name}`, async () => {
      const arrived = await stand.startLoggedIn()
      assertAccepted(await stand.send(arrived.app, { sub_id: subject(arrived, stand.transmitter.issuer) }))
      assert.deepEqual([await isIn(arrived.browser), seen.logouts, seen.errors], [true, [], []])
      assert.equal(published[0]?.ended, 0)
    })
  }

  it('is known if a session can be of it, though no session is', async () => {
    const app = await stage.start({ sharedSignals: stand.sharedSignals })
    for (const sub_id of [stand.userOf({ sub: 'another' }), { format: 'phone_number', phone_number: '+1' }]) {
      assertAccepted(await stand.send(app, { sub_id }))
    }
    assert.deepEqual(
      published.map(({ isKnownSubject, ended }) => [isKnownSubject, ended]),
      [
        [true, 0],
        [false, 0],
      ],
    )
  })

  it('email finds no session whose claim email sessionClaims does not keep', async () => {
    const arrived = await stand.startLoggedIn({ sessionClaims: ['name'] })
    assertAccepted(await stand.send(arrived.app, { sub_id: { format: 'email', email: 'alice@example.test' } }))
    assert.deepEqual([await isIn(arrived.browser), published[0]?.ended], [true, 0])
    assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived) }))
    assert.equal(await isIn(arrived.browser), false)
  })

  it('email finds no login that began before sharedSignals was set; iss_sub does', async () => {
    const [store] = createSharedStores(1)
    assert.ok(store)
    const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
    const { sub } = await subjectOf(browser, app)
    const later = await stage.start({ sharedSignals: stand.sharedSignals }, { session: { store } })
    assertAccepted(await stand.send(later, { sub_id: { format: 'email', email: 'alice@example.test' } }))
    assert.equal(await isIn(browser), true)
    assertAccepted(await stand.send(later, { sub_id: stand.userOf({ sub }) }))
    assert.equal(await isIn(browser), false)
  })

  // A provider with tenants: nothing but the issuer of a tenant says whose user it is.
  const template = 'https://login.example/{tenantid}/v2.0'
  const ofTenant = template.replace('{tenantid}', 'harbour')
  const transmitterIssuer = 'https://transmitter.example'
  for (const [name, subject, expected] of [
    ['iss_sub of a tenant', { format: 'iss_sub', iss: ofTenant, sub: 'a' }, { issuer: ofTenant, sub: 'a' }],
    ['iss_sub of the transmitter', { format: 'iss_sub', iss: transmitterIssuer, sub: 'a' }, undefined],
    ['iss_sub of another host', { format: 'iss_sub', iss: ofTenant.replace('login', 'evil'), sub: 'a' }, undefined],
    ['email', { format: 'email', email: 'alice@example.test' }, undefined],
    ['opaque', { format: 'opaque', id: 'a-sid' }, undefined],
  ] as const) {
    it(`at a provider with tenants is ${expected === undefined ? 'nobody' : 'a user'}: ${name}`, () => {
      const context = { providerIssuer: template, transmitterIssuer, criticalSubjectMembers: [] }
      assert.deepEqual(readEventSubject(subject, context), expected)
    })
  }

  it('of a pair that does not belong together leaves a login in progress alone', async () => {
    const arrived = await stand.startLoggedIn()
    const browser = arrived.app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    const { issuer: iss } = stand.transmitter
    for (const sid of [arrived.sid]) {
      const sub_id = {
        format: 'complex',
        user: { format: 'iss_sub', iss, sub: 'another' },
        session: { format: 'opaque', id: sid },
      }
      assertAccepted(await stand.send(arrived.app, { sub_id }))
    }
    assert.equal((await browser.go(next)).status, 200)
  })

  it('ends sessions of a login without sid by its user', async () => {
    stage.provider.change.idTokenClaims = ({ sid: _, ...claims }) => claims
    const arrived = await stand.startLoggedIn()
    const { issuer: iss } = stand.transmitter
    const sub_id = {
      format: 'complex',
      user: { format: 'iss_sub', iss, sub: arrived.sub },
      session: { format: 'opaque', id: 'a-session-that-the-login-does-not-know' },
    }
    assertAccepted(await stand.send(arrived.app, { sub_id }))
    assert.equal(await isIn(arrived.browser), false)
  })

  for (const [critical, subject, ends] of [
    [['device'], { device: device }, false],
    [['tenant', 'user'], { tenant: device }, false],
    [['device'], { tenant: device }, true],
    [['user'], {}, true],
    [['constructor'], {}, true],
    [['x'], { x: device }, false],
  ] as const) {
    it(`with ${Object.keys(subject).join()} ${ends ? 'ends' : 'does not end'} the session if ${critical.join()} is critical`, async () => {
      stand.transmitter.change.configuration = (good) => ({ ...good, critical_subject_members: critical })
      const arrived = await stand.startLoggedIn()
      const sub_id = { format: 'complex', user: stand.userOf(arrived), ...subject }
      assertAccepted(await stand.send(arrived.app, { sub_id }))
      assert.equal(await isIn(arrived.browser), !ends)
    })
  }
})

describe('a security event that comes again', () => {
  it('is accepted and does nothing, on another node too', async () => {
    const [one, other] = createSharedStores(2)
    assert.ok(one && other)
    const hooked: string[] = []
    const options = { hooks: { onSecurityEvent: ({ type }: { type: string }) => void hooked.push(type) } }
    const first = await stand.startLoggedIn(options, { session: { store: one } })
    const second = await stage.start({ sharedSignals: stand.sharedSignals, ...options }, { session: { store: other } })
    const claims = { jti: 'the-same', sub_id: stand.userOf(first), events: { 'urn:example:mine': {} } }
    for (const app of [first.app, second, first.app]) assertAccepted(await stand.send(app, claims))
    assert.deepEqual([hooked, published.length], [['urn:example:mine'], 1])
  })

  it('has not used up its jti by being refused', async () => {
    const arrived = await stand.startLoggedIn()
    const claims = { jti: 'used-once', sub_id: stand.userOf(arrived) }
    assert.equal((await stand.send(arrived.app, { ...claims, aud: 'another' })).status, 400)
    assertAccepted(await stand.send(arrived.app, claims))
    assert.equal(await isIn(arrived.browser), false)
  })

  it('does its work if the hook has failed before', async () => {
    let isFailing = true
    const onSecurityEvent = (): void => {
      if (isFailing) throw new Error('the database is away')
    }
    const arrived = await stand.startLoggedIn({ hooks: { onSecurityEvent } })
    const claims = { jti: 'tried-twice', sub_id: stand.userOf(arrived), events: { 'urn:example:mine': {} } }
    assert.equal((await stand.send(arrived.app, claims)).status, 500)
    isFailing = false
    assertAccepted(await stand.send(arrived.app, claims))
    assert.equal(published.length, 2)
  })
})

describe('a security event is answered with 5xx, and is good when it comes again,', () => {
  it('while the store is away', async () => {
    const store = new FaultyStore()
    const arrived = await stand.startLoggedIn({}, { session: { store } })
    const claims = { jti: 'after-the-outage', sub_id: stand.userOf(arrived) }
    store.act = (_name, _run, fail) => fail(new Error('the store is away'))
    assert.equal((await stand.send(arrived.app, claims)).status, 503)
    store.heal()
    assertAccepted(await stand.send(arrived.app, claims))
    assert.equal(await isIn(arrived.browser), false)
  })

  for (const path of ['/.well-known/ssf-configuration', '/oauth2/v1/keys']) {
    it(`while ${path} is away`, async () => {
      const arrived = await stand.startLoggedIn()
      const sub_id = stand.userOf(arrived)
      stand.transmitter.change.answer = (req, res) => {
        if (req.url === path) res.writeHead(503).end()
        return req.url === path
      }
      const { status } = await stand.send(arrived.app, { sub_id })
      assert.ok(status >= 500, String(status))
      stand.transmitter.change.answer = undefined
      assertAccepted(await stand.send(arrived.app, { sub_id }))
      assert.equal(await isIn(arrived.browser), false)
    })
  }

  it('if its key is unknown and the keys are away', async () => {
    const arrived = await stand.startLoggedIn()
    const sub_id = stand.userOf(arrived)
    assertAccepted(await stand.send(arrived.app, { sub_id: { ...sub_id, sub: 'another' } }))
    const { transmitter } = stand
    const set = transmitter.sign(transmitter.claims({ sub_id, events: { [SESSION_REVOKED]: {} } }), { kid: 'new' })
    transmitter.change.answer = (_req, res) => {
      res.writeHead(503).end()
      return true
    }
    assert.equal((await push(securityEventsUri(arrived.app), set)).status, 503)
    transmitter.change.answer = undefined
    transmitter.change.keySet = ({ keys }) => ({ keys: keys.map((key) => ({ ...key, kid: 'new' })) })
    assertAccepted(await push(securityEventsUri(arrived.app), set))
    assert.equal(await isIn(arrived.browser), false)
  })

  for (const [name, configuration] of [
    ['another issuer', { issuer: 'https://evil.example' }],
    ['its issuer with a slash more', { issuer: 'slash' }],
    ['no jwks_uri', { jwks_uri: undefined }],
    ['a jwks_uri that is no URL', { jwks_uri: '/keys' }],
    ['a jwks_uri of a file', { jwks_uri: 'file:///etc/passwd' }],
    ['critical members that are no list', { critical_subject_members: 'device' }],
    ['critical members that are no names', { critical_subject_members: [{}] }],
  ] as const) {
    it(`if the configuration document has ${name}`, async () => {
      stand.transmitter.change.configuration = (good) => ({
        ...good,
        ...configuration,
        ...('issuer' in configuration && configuration.issuer === 'slash' ? { issuer: `${good['issuer']}/` } : {}),
      })
      const arrived = await stand.startLoggedIn()
      assert.equal((await stand.send(arrived.app, { sub_id: stand.userOf(arrived) })).status, 502)
      assert.deepEqual(codesOf(arrived.app), ['ERR_OIDC_TRANSMITTER_METADATA'])
      assert.equal(await isIn(arrived.browser), true)
    })
  }

  it('if the configuration document names other keys, with those alone', async () => {
    const other = await startTransmitter()
    try {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const arrived = await stand.startLoggedIn()
      assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf({ sub: 'another-user' }) }))
      stand.transmitter.change.configuration = (good) => ({ ...good, jwks_uri: `${other.issuer}/oauth2/v1/keys` })
      mock.timers.tick(86_401_000)
      const claims = { sub_id: stand.userOf(arrived) }
      assert.equal((await stand.send(arrived.app, claims)).status, 400)
      assert.ok([...other.calls.keys()].includes('/oauth2/v1/keys'))
    } finally {
      mock.timers.reset()
      await other.stop()
    }
  })

  it('and never with a 4xx for an error of a hook', async () => {
    const { AccessDeniedError } = await import('../../lib/index.ts')
    const onSecurityEvent = (): void => {
      throw new AccessDeniedError('ERR_OIDC_INSUFFICIENT_CLAIM', 'no account')
    }
    const arrived = await stand.startLoggedIn({ hooks: { onSecurityEvent } })
    assert.equal((await stand.send(arrived.app, { sub_id: stand.userOf(arrived) })).status, 500)
  })
})

describe('the Authorization header of a push', () => {
  const NEW = 'Bearer the-new-value-of-the-header'
  const OLD = 'Bearer the-old-value-of-the-header'

  for (const [name, expected, given, status] of [
    ['the right one', NEW, NEW, 202],
    ['the old one of two', [NEW, OLD], OLD, 202],
    ['one that nobody has asked for', undefined, NEW, 202],
    ['none', NEW, undefined, 400],
    ['another one', NEW, OLD, 400],
    ['a part of it', NEW, NEW.slice(0, -1), 400],
    ['an empty one', NEW, '', 400],
    ['another scheme', NEW, NEW.replace('Bearer', 'bearer'), 400],
  ] as const) {
    it(`is answered with ${status}: ${name}`, async () => {
      const sharedSignals = {
        ...stand.sharedSignals,
        ...(expected === undefined ? {} : { authorizationHeader: expected }),
      }
      const arrived = await stand.startLoggedIn({ sharedSignals })
      const headers: Record<string, string> = given === undefined ? {} : { authorization: given }
      const answer = await stand.send(arrived.app, { sub_id: stand.userOf(arrived) }, headers)
      assert.equal(answer.status, status)
      if (status === 400) assert.equal(JSON.parse(answer.body)['err'], 'authentication_failed')
      assert.equal(await isIn(arrived.browser), status === 400)
    })
  }
})

describe('a verification event', () => {
  const HEADER = 'Bearer the-value-of-the-header'
  const settings = () => ({ sharedSignals: { ...stand.sharedSignals, authorizationHeader: HEADER } })
  const send = (app: Parameters<typeof stand.send>[0], event: JsonObject) =>
    stand.send(
      app,
      { sub_id: { format: 'opaque', id: 'esc1' }, events: { [VERIFICATION]: event } },
      { authorization: HEADER },
    )

  it('with the state that was requested is accepted on every node', async () => {
    const state = createVerificationState(HEADER, stand.transmitter.issuer)
    const apps = [await stage.start(settings()), await stage.start(settings())]
    for (const app of apps) assertAccepted(await send(app, { state }))
    assert.deepEqual(
      published.map(({ type }) => type),
      [VERIFICATION, VERIFICATION],
    )
  })

  it('without a state is accepted: the transmitter has sent it by itself', async () => {
    assertAccepted(await send(await stage.start(settings()), {}))
  })

  it('does not run the hook', async () => {
    const app = await stage.start({ ...settings(), hooks: { onSecurityEvent: () => assert.fail() } })
    for (const event of [{}, { state: createVerificationState(HEADER, stand.transmitter.issuer) }]) {
      assertAccepted(await send(app, event))
    }
    assert.equal(published.length, 2)
  })

  for (const [name, state] of [
    ['of nobody', () => 'VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo='],
    ['that is empty', () => ''],
    ['that is a number', () => 5],
    ['that is null', () => null],
    ['for another transmitter', () => createVerificationState(HEADER, 'https://other.example')],
    ['for another header', () => createVerificationState(`${HEADER}x`, stand.transmitter.issuer)],
    [
      'with another signature',
      () => `${createVerificationState(HEADER, stand.transmitter.issuer).slice(0, -43)}${'A'.repeat(43)}`,
    ],
    ['with something behind it', () => `${createVerificationState(HEADER, stand.transmitter.issuer)}.x`],
  ] as const) {
    it(`with a state ${name} is refused with invalid_state`, async () => {
      const answer = await send(await stage.start(settings()), { state: state() })
      assert.deepEqual([answer.status, JSON.parse(answer.body)['err']], [400, 'invalid_state'])
      assert.deepEqual(seen.errors, ['ERR_OIDC_SECURITY_EVENT_STATE'])
    })
  }

  it('with a state of the day before yesterday is refused', async () => {
    const app = await stage.start(settings())
    const state = createVerificationState(HEADER, stand.transmitter.issuer)
    pass(2 * 86_400)
    assert.equal((await send(app, { state })).status, 400)
  })
})

describe('several providers with transmitters', () => {
  it('end the sessions of their own provider alone', async () => {
    const [{ issuer, clientId, clientSecret }, other] = [stage.provider, await stage.startOther()]
    const { audience } = stand.transmitter
    const okta = { issuer, clientId, clientSecret, sharedSignals: stand.sharedSignals }
    const partner = {
      issuer: other.issuer,
      clientId: other.clientId,
      clientSecret: other.clientSecret,
      // The same subject there is another person.
      sharedSignals: { issuer: 'https://transmitter.partner.example', audience },
    }
    const app = await stage.start({ providers: { okta, partner } })
    const [one, two] = [app.browser(), app.browser()]
    await one.open('/login?provider=okta&returnTo=/profile')
    await two.open('/login?provider=partner&returnTo=/profile')
    const { sub } = await subjectOf(two, app)
    assertAccepted(await stand.send(app, { sub_id: { format: 'iss_sub', iss: stand.transmitter.issuer, sub } }))
    assert.deepEqual([await isIn(one), await isIn(two)], [false, true])
  })

  it('of one transmitter end the sessions of all its providers', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const one = { issuer, clientId, clientSecret, sharedSignals: stand.sharedSignals }
    const app = await stage.start({ providers: { one, other: { ...one } } })
    const browsers = [app.browser(), app.browser()]
    for (const [index, browser] of browsers.entries()) {
      await browser.open(`/login?provider=${index === 0 ? 'one' : 'other'}&returnTo=/profile`)
    }
    const { sub } = await subjectOf(app.browser(), app)
    assert.equal(sub, 'undefined')
    assertAccepted(await stand.send(app, { sub_id: { format: 'iss_sub', iss: issuer, sub: 'user-subject' } }))
    assert.equal(await app.sessions(), 0)
  })
})

describe('a security event behind body parsers', () => {
  const all = (): boolean => true
  for (const [name, parser] of [
    ['express.json()', express.json()],
    ['express.text()', express.text()],
    ['express.text() for every type', express.text({ type: all })],
    ['express.raw()', express.raw()],
    ['express.raw() for every type', express.raw({ type: all })],
    ['express.urlencoded()', express.urlencoded({ extended: true })],
  ] as const) {
    it(`ends sessions: ${name}`, async () => {
      const arrived = await stand.startLoggedIn({}, { beforeOidc: [parser as unknown as Handler] })
      assertAccepted(await stand.send(arrived.app, { sub_id: stand.userOf(arrived) }))
      assert.equal(await isIn(arrived.browser), false)
    })
  }
})

describe('the route for security events', () => {
  it('does not exist without sharedSignals', async () => {
    const app = await stage.start()
    assert.equal((await push(securityEventsUri(app), 'x')).status, 404)
  })

  it('accepts only POST', async () => {
    const app = await stage.start({ sharedSignals: stand.sharedSignals })
    const page = await app.browser().fetch('/security-events')
    assert.deepEqual([page.status, codesOf(app)], [405, ['ERR_OIDC_METHOD_NOT_ALLOWED']])
  })

  it('requests nothing of the transmitter before the first event, and its document and keys once', async () => {
    const arrived = await stand.startLoggedIn()
    assert.equal(stand.transmitter.calls.size, 0)
    for (let count = 0; count < 3; count++) await stand.send(arrived.app, { sub_id: stand.userOf(arrived) })
    assert.deepEqual(Object.fromEntries(stand.transmitter.calls), {
      '/.well-known/ssf-configuration': 1,
      '/oauth2/v1/keys': 1,
    })
  })
})
