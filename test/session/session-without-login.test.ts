import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Request } from '../../lib/http/request.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import {
  checkFailedWithin,
  endOfStoredLogin,
  isCheckedWithin,
  recordFailedCheck,
} from '../../lib/session/current-login.ts'
import type { SessionRequest } from '../../lib/session/express-session.ts'

const { app: config } = parseOptions({
  issuer: 'https://id.example',
  clientId: 'app',
  secret: 'the secret that seals the cookies of an app',
  baseUrl: 'https://app.example',
})

const CONTENTS: Readonly<Record<string, unknown>> = {
  nothing: {},
  'a login that is null': { oidc: null },
  'a login that is text': { oidc: 'alice' },
  'a login without claims': { oidc: { id: 't', expiresAt: 9e12 } },
}

describe('a session without a login', () => {
  for (const [name, session] of Object.entries(CONTENTS)) {
    it(`with ${name} was never checked at the provider, and has no end`, () => {
      const req = { session } as unknown as Request
      assert.deepEqual([isCheckedWithin(60, req, config), checkFailedWithin(60, req, config)], [false, false])
      assert.equal(endOfStoredLogin(session, 't', config), undefined)
      assert.equal(endOfStoredLogin(undefined, 't', config), undefined)
    })

    it(`with ${name} is not saved for a check that failed`, async () => {
      const held = { ...Object(session), save: () => assert.fail('was saved') }
      const before = JSON.stringify(held)
      await recordFailedCheck({ session: held } as unknown as SessionRequest, config)
      assert.equal(JSON.stringify(held), before)
    })
  }
})
