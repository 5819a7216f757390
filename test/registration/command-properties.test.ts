import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { textOf as optionText, parseArguments, UsageError } from '../../lib/command/arguments.ts'
import { runCommand } from '../../lib/command/command.ts'
import { describeError, escapeForTerminal, formatClient, formatClients } from '../../lib/command/output.ts'
import { OidcError, ProviderError } from '../../lib/errors.ts'
import type { ClientInformation } from '../../lib/registration.ts'
import { anyText, foreignJson, textOf } from '../support/properties/foreign-text.ts'
import { holds } from '../support/properties/outcome.ts'

const COMMANDS = [
  ...['register', 'show', 'list', 'update', 'delete', 'rotate-secret'],
  ...['generate-key', 'generate-secret', 'check'],
]
const OPTIONS = [
  ...[
    '--issuer',
    '--store',
    '--json',
    '--show-secret',
    '--limit',
    '--name',
    '--redirect-uri',
    '--token-file',
    '--scheme',
  ],
  ...[
    '--alg',
    '--use',
    '--kid',
    '--insecure',
    '--',
    '-',
    '-h',
    '--no-json',
    '--__proto__',
    '--token',
    '--help',
    '--version',
  ],
]
const word = fc.oneof(
  fc.constantFrom(...OPTIONS, 'client', '', 'RS256', 'ES256', 'Bearer'),
  fc.constantFrom(...OPTIONS).chain((option) => anyText.map((text) => `${option}=${text}`)),
  anyText,
)
const call = fc
  .tuple(
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...COMMANDS) }, { weight: 1, arbitrary: anyText }),
    fc.array(word, { maxLength: 5 }),
  )
  .map(([command, words]) => [command, ...words])

/** What a terminal could take for a command: control characters, save the line breaks of our own. */
const CONTROL = /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u

describe('the command line', () => {
  it('is understood, or is a UsageError', () => {
    fc.assert(
      fc.property(call, (args) => {
        try {
          const { command, values } = parseArguments(args)
          holds(COMMANDS.includes(command))
          for (const name of Object.keys(values)) optionText(values, name)
        } catch (error) {
          holds(error instanceof UsageError, String(error))
          holds(error.message.length > 0)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('that cannot be understood ends with 2 and a hint, before anything is done', async () => {
    // Without an issuer and a store no command gets as far as a request or a file.
    const harmless = call.filter(
      (args) =>
        !/^generate-/.test(args[0] ?? '') &&
        !args.some((arg) => /^--(issuer|store|registration|metadata|token-file)/.test(arg)),
    )
    await fc.assert(
      fc.asyncProperty(harmless, async (args) => {
        const printed: string[] = []
        const warned: string[] = []
        const code = await runCommand(args, {
          env: {},
          print: (text) => printed.push(text),
          warn: (text) => warned.push(text),
        })
        const isHelp = args.some((arg) => ['--help', '-h', '--version'].includes(arg))
        assert.equal(code, isHelp ? 0 : 2)
        assert.equal(printed.length > 0, isHelp)
        if (!isHelp) assert.match(warned.join(''), /\n.*--help\n$/)
      }),
      { numRuns: 300 },
    )
  })
})

describe('what the command prints', () => {
  const hostile = textOf('\u001b[31m', '\u0007', '\u202e', '\u2028', '\r', '\n', '\u009b', 'text', ' ')

  it('holds no control character of others', () => {
    fc.assert(
      fc.property(hostile, fc.oneof(anyText, hostile), (text, other) => {
        assert.doesNotMatch(escapeForTerminal(text), /\n/)
        const failures = [
          new Error(text),
          new ProviderError('ERR_OIDC_REGISTRATION_REFUSED', 'Refused.', {
            refusal: { error: text, errorDescription: other },
          }),
          new OidcError('ERR_OIDC_REGISTRATION_STORE', 'Failed.', { cause: { code: text } }),
          text,
        ]
        for (const failure of failures) assert.doesNotMatch(describeError(failure), CONTROL)
      }),
      { numRuns: 500 },
    )
  })

  it('is a client without its secrets, whatever else a provider has put in', () => {
    const member = fc.oneof(foreignJson, hostile)
    const client = fc.dictionary(
      fc.oneof(fc.constantFrom('client_name', 'jwks', 'contacts', '__proto__'), hostile),
      member,
    )
    fc.assert(
      fc.property(client, fc.boolean(), (others, json) => {
        const secrets = { client_secret: 'hush-hush', registration_access_token: 'hush-hush' }
        const given = { ...others, client_id: 'client', ...secrets } as ClientInformation
        const texts = [formatClient(given, { json }), formatClients([given], { json })]
        for (const text of texts) {
          holds(text.endsWith('\n') && !text.includes('hush-hush'))
          if (json) JSON.parse(text)
          else assert.doesNotMatch(text, CONTROL)
        }
      }),
      { numRuns: 300 },
    )
  })
})
