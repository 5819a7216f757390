import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type OptionTable, option, required, type WithDefaults, withDefaults } from '../../lib/options/option-row.ts'
import {
  ALGORITHM_OPTIONS,
  APP_OPTIONS,
  algorithmOptionsFor,
  DEFAULT_ROUTES,
  PROVIDER_OPTIONS,
} from '../../lib/options/option-table.ts'
import { nonEmptyString, seconds } from '../../lib/options/rule.ts'

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const expectType = <_ extends true>(): void => {}
const expectNoMatch = <_ extends false>(): void => {}

/** A public interface of three options. */
interface Options {
  name: string
  age?: number
  mode?: 'a' | 'b'
}

const TABLE: OptionTable<Options, 'age'> = {
  name: required(nonEmptyString),
  age: option(seconds(0, 9)),
  mode: option(nonEmptyString, 'a'),
}

const { age: _, ...WITHOUT_AGE } = TABLE
const OPTIONAL_NAME = { ...TABLE, name: option(nonEmptyString, 'x') }
const REQUIRED_AGE = { ...TABLE, age: required(nonEmptyString) }
const WRONG_DEFAULT = { ...TABLE, mode: option(nonEmptyString, 'c') }
const NO_DEFAULT = { ...TABLE, mode: option(nonEmptyString) }
const WITH_DEFAULT = { ...TABLE, age: option(seconds(0, 9), 5) }

describe('a table of options', () => {
  it('compiles only with one fitting row for each member of the interface', () => {
    type Fits<Table> = Table extends OptionTable<Options, 'age'> ? true : false
    expectType<Fits<typeof TABLE>>()
    expectNoMatch<Fits<typeof WITHOUT_AGE>>()
    expectNoMatch<Fits<typeof OPTIONAL_NAME>>()
    expectNoMatch<Fits<typeof REQUIRED_AGE>>()
    expectNoMatch<Fits<typeof WRONG_DEFAULT>>()
    expectNoMatch<Fits<typeof NO_DEFAULT>>()
    expectNoMatch<Fits<typeof WITH_DEFAULT>>()
  })

  it('gives each option its type in the configuration', () => {
    type Config = WithDefaults<Options, 'age'>
    expectType<Equals<Config['name'], string>>()
    expectType<Equals<Config['age'], number | undefined>>()
    expectType<Equals<Config['mode'], 'a' | 'b'>>()
  })

  it('fills in the defaults, and leaves other names out', () => {
    const given: Options = { name: 'x', mode: 'b' }
    assert.deepEqual(withDefaults<Options, 'age'>(TABLE, { name: 'x' }), {
      name: 'x',
      age: undefined,
      mode: 'a',
    })
    assert.deepEqual(withDefaults<Options, 'age'>(TABLE, Object.assign(given, { more: 1 })), {
      name: 'x',
      age: undefined,
      mode: 'b',
    })
  })

  it('freezes a default', () => {
    assert.ok(Object.isFrozen(PROVIDER_OPTIONS.clientKeys.default))
    assert.ok(Object.isFrozen(APP_OPTIONS.hooks.default))
  })
})

describe('the routes', () => {
  it('exist by default, except those that the application must name', () => {
    assert.deepEqual(Object.keys(DEFAULT_ROUTES).sort(), [
      ...['backchannelLogout', 'callback', 'frontchannelLogout', 'jwks', 'keptForm', 'login', 'logout'],
      ...['requestObjects', 'securityEvents'],
      'sessionCheck',
    ])
  })
})

describe('the options for algorithms', () => {
  it('have the wire names of the registration that belong to their names', () => {
    for (const { name, wireName } of ALGORITHM_OPTIONS) {
      assert.equal(
        wireName,
        name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      )
    }
  })

  it('are all in the table', () => {
    const names = Object.keys(PROVIDER_OPTIONS).filter((name) => /(?:Alg|Enc)$/.test(name) && name !== 'dpopSigningAlg')
    assert.deepEqual(
      ALGORITHM_OPTIONS.map(({ name }) => name),
      names,
    )
  })

  it('are found by their use', () => {
    assert.deepEqual(algorithmOptionsFor('verify'), [
      ...['idTokenSignedResponseAlg', 'userinfoSignedResponseAlg', 'authorizationSignedResponseAlg'],
    ])
    assert.deepEqual(algorithmOptionsFor('sign', 'encrypt'), [
      ...['tokenEndpointAuthSigningAlg', 'requestObjectSigningAlg', 'requestObjectEncryptionAlg'],
    ])
  })

  it('name the algorithm of each content encryption', () => {
    for (const { name, use, algOption } of ALGORITHM_OPTIONS) {
      assert.equal(algOption, use === 'encryptContent' ? name.replace(/Enc$/, 'Alg') : undefined, name)
    }
  })
})
