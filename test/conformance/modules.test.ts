import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { ResponseType } from '../../lib/types.ts'
import { ROOT } from '../support/app/project.ts'
import { FAPI1_MODULES } from '../support/conformance/fapi1.ts'
import { FAPI2_MODULES } from '../support/conformance/fapi2.ts'
import {
  COMPREHENSIVE_MODULES,
  CONFIG_MODULES,
  DYNAMIC_MODULES,
  FAPI1_ADVANCED_MODULES,
  FAPI1_JARM_MODULES,
  FAPI2_MESSAGE_SIGNING_MODULES,
  FAPI2_SECURITY_PROFILE_MODULES,
  INITIATE_LOGIN_MODULES,
  modulesOfType,
  REFRESH_MODULES,
  SESSION_MANAGEMENT_MODULES,
} from '../support/conformance/modules.ts'
import { OIDCC_MODULES } from '../support/conformance/oidcc.ts'
import { SESSION_ACTS } from '../support/conformance/session.ts'

const ofTypes = (...types: readonly ResponseType[]): readonly string[] => types.flatMap(modulesOfType)

const BASIC = ofTypes('code')
const IMPLICIT = ofTypes('id_token', 'id_token token')
const HYBRID = ofTypes('code id_token', 'code token', 'code id_token token')

/** One and the same for each response type of the plan. */
const sessionManagement = (types: number): readonly string[] => Array(types).fill(SESSION_MANAGEMENT_MODULES).flat()

/** Every plan that is acted out, with how many modules it has in the suite. */
const PLANS: readonly (readonly [plan: string, count: number, names: readonly string[]])[] = [
  ['oidcc-client-basic-certification-test-plan', 14, BASIC],
  ['oidcc-client-implicit-certification-test-plan', 27, IMPLICIT],
  ['oidcc-client-hybrid-certification-test-plan', 48, HYBRID],
  ['oidcc-client-config-certification-test-plan', 6, CONFIG_MODULES],
  ['oidcc-client-dynamic-certification-test-plan', 12, DYNAMIC_MODULES],
  ['oidcc-client-formpost-basic-certification-test-plan', 14, BASIC],
  ['oidcc-client-formpost-implicit-certification-test-plan', 27, IMPLICIT],
  ['oidcc-client-formpost-hybrid-certification-test-plan', 48, HYBRID],
  ['oidcc-client-test-3rd-party-init-login-test-plan', 1, INITIATE_LOGIN_MODULES],
  ['oidcc-client-refreshtoken-test-plan', 3, REFRESH_MODULES],
  ['oidcc-client-rp-session-management-rp-basic', 1, sessionManagement(1)],
  ['oidcc-client-rp-session-management-rp-implicit', 2, sessionManagement(2)],
  ['oidcc-client-rp-session-management-rp-hybrid', 3, sessionManagement(3)],
  ['oidcc-client-test-plan', 39, COMPREHENSIVE_MODULES],
  ['fapi2-security-profile-final-client-test-plan', 24, FAPI2_SECURITY_PROFILE_MODULES],
  ['fapi2-message-signing-final-client-test-plan', 32, FAPI2_MESSAGE_SIGNING_MODULES],
  ['fapi1-advanced-final-client-test-plan', 20, FAPI1_JARM_MODULES],
]

const ACTED_OUT = new Set(
  [OIDCC_MODULES, FAPI2_MODULES, FAPI1_MODULES, SESSION_ACTS].flatMap((modules) => Object.keys(modules)),
)

/** Where plans are described. */
const FOLDER = `${ROOT}test/conformance/`
const SOURCES = readdirSync(FOLDER)
  .filter((name) => /^(?!modules).*\.test\.ts$/.test(name))
  .map((name) => readFileSync(FOLDER + name, 'utf8'))

describe('the plans of the conformance suite', () => {
  for (const [plan, count, names] of PLANS) {
    it(`are tests of ours, module for module: ${plan}`, () => {
      assert.equal(names.length, count)
      assert.deepEqual(
        names.filter((name) => !ACTED_OUT.has(name)),
        [],
      )
      assert.equal(SOURCES.filter((source) => source.includes(`'${plan}'`)).length, 1)
    })
  }

  it('are of FAPI 1.0 only in part: its tokens by the front channel need s_hash, and countries are not for us', () => {
    assert.equal(new Set(FAPI1_ADVANCED_MODULES).size, 27)
  })

  it('have every module that is acted out', () => {
    const names = new Set(PLANS.flatMap(([, , all]) => all))
    assert.deepEqual(
      [...ACTED_OUT].filter((name) => !names.has(name)),
      [],
    )
  })
})
