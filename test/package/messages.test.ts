import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_STATUS } from '../../lib/error-codes.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { DOCUMENTED_OPTIONS, membersOf } from '../support/docs/documented-options.ts'
import { type ErrorMessage, errorMessages, type Placeholder } from '../support/messages/messages.ts'

/** Why an expression may stand in a message, and which do for that reason. Each name is argued for here. */
interface Reason {
  readonly why: string
  /** Whether it says by itself what the message is about. */
  readonly names?: true
  readonly expressions: readonly string[]
}

const ALLOWED: readonly Reason[] = [
  {
    why: 'A URL of the options or of the metadata, without its query.',
    names: true,
    expressions: [
      ...[
        'urlWithoutQuery',
        'withoutQuery(url)',
        'withoutQuery(url.href)',
        'keys.jwksUri',
        'jwksUri',
        'issuer',
        'expected',
      ],
      ...[
        'config.issuer',
        'config.origin',
        'config.redirectUri',
        'redirectUri',
        'origin',
        'rp.config.origin',
        'url.host',
      ],
    ],
  },
  {
    why: 'A path of the options.',
    names: true,
    expressions: [
      ...['basePath', 'rp.config.basePath', 'routes.logout', 'routes.tokenRevocation'],
      'rp.config.routes.frontchannelLogout',
      'path',
    ],
  },
  {
    why: 'The name of an option, of a member of metadata, of a kind of token or of a command: one of our own lists.',
    names: true,
    expressions: [
      ...['name', 'noun', 'KINDS[kind].noun', 'encryptionAlg', 'encryptionEnc', 'signatureAlg'],
      ...['tokenError.options.encryptionAlg', 'claim', 'wireName', 'wrong[0]', "path.join('.')"],
      // The scopes that a guard of the app requires.
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the expression as the source has it.
      "scopes.map((one)=>`'${one}'`).join(isAny?' or ':' and ')",
      // A variable of the environment that fromEnv() reads, and one that is similar.
      ...['source', "variableName(prefix,nearest.split('.'))"],
      ...["scope.join(', ')", "required.join(', ')"],
      // A number of seconds in the options.
      'timeout',
      // A method of a store.
      'operation',
      // A method of `auth.sessions`, and its members.
      ...['method', 'needed', "names.join(', ')"],
      ...[
        'command',
        'invalid[0]',
        "Object.keys(strength).join(', ')",
        "[...GENERATORS.keys()].join(', ')",
        "[...ACTIONS.keys()].join(', ')",
      ],
    ],
  },
  {
    why: 'The value of an option that is one of a closed list, such as an algorithm, or the name of a provider.',
    expressions: [
      ...['alg', 'enc', 'expected.alg', 'method', 'provider', 'type', 'TYPES[kind].usual'],
      ...['format', 'ADVICE[format]'],
      ...['config.tokenEndpointAuthMethod', 'config.responseType', 'config.responseMode'],
    ],
  },
  {
    why: 'A number: a status, a limit, seconds.',
    expressions: [
      ...[
        'status',
        'seconds',
        'limit',
        'clockTolerance',
        'transactionLifetime',
        'maxAge',
        'String(maxEntries)',
        'response.status',
        "typeof given==='number'?given:shown(given)",
      ],
      ...[
        'Math.floor(now-instant)',
        'Math.ceil(instant-now)',
        'Math.floor(now-given)',
        'MAX_LENGTH/1024',
        'MAX_JTI_LENGTH',
        'MAX_REQUESTS',
        'MAX_ACCESS_TOKEN_LENGTH/1024',
        'MAX_JTI_LENGTH',
        'MAX_BODY_BYTES',
      ],
      ...[
        'MAX_OPERATION_SECONDS',
        'MAX_REVOCATION_SECONDS',
        'MIN_SECRET_LENGTH',
        'MIN_INTERVAL_SECONDS',
        'MAX_PARAMETERS',
        'MAX_VALUES',
        'MAX_REVOCATION_LIFETIME',
        'MAX_STEPS',
        'MAX_EVENTS',
      ],
    ],
  },
  {
    why: 'A code whose form was checked: of OAuth, or of the operating system (ECONNREFUSED).',
    expressions: ['refusal?.error', 'code', 'cause.code'],
  },
  {
    why: 'A message that is held to these rules itself, or that Node writes about an argument of the command line.',
    names: true,
    expressions: ['error.message', 'cause.message', 'String(Object(error).message)'],
  },
]

const REASONS: ReadonlyMap<string, Reason> = new Map(
  ALLOWED.flatMap((reason) => reason.expressions.map((expression) => [expression, reason] as const)),
)

/** What has no place in a message, not even in `shown()`. */
const SECRET =
  /\b(?:token|idToken|accessToken|refreshToken|code|state|nonce|sub|sid|email|secrets?|clientSecret|passphrase|verifier|codeVerifier|jw[est]|hint|cookies?|password|body|params|query|authorization|errorDescription|error_description)\b/

/** What a message whose error may reach the browser can show: configuration and metadata, and nothing of the request. */
const OWN = /^shown\((?:\[\.\.\.)?(?:rp\.)?(?:config|configuredIssuers|transaction|metadata|options|provider)\b/

/** Option names that are also words of every day: they count only in quotes, or beside the word "option". */
const EVERYDAY = 'login logout callback secret scope profile fetch routes providers store table server every'.split(' ')

const OPTION_NAMES = [
  ...DOCUMENTED_OPTIONS.flatMap(({ name }) => [name, name.split('.').at(-1) ?? name]),
  ...['RedisStateOptions', 'PostgresStateOptions', 'MemoryStateOptions', 'WebFingerOptions', 'SessionCheckOptions']
    .concat('TestProviderOptions', 'TestClient', 'MisbehaviorOptions')
    .flatMap(membersOf)
    .map(({ name }) => name),
]
const CLAIMS =
  'iss sub aud exp iat nbf jti azp acr amr sid tid kid alg enc typ cty crit nonce state cnf htm htu ath'.split(' ')

/** Things that a developer can look at, by the words that the standards and this documentation have for them. */
const THINGS = [
  ...[
    'authorization response',
    'token response',
    'ID Token',
    'access token',
    'refresh token',
    'logout token',
    'UserInfo',
  ],
  ...[
    'logout request',
    'registration endpoint',
    'registered client',
    'metadata',
    'claims source',
    'JWT',
    'JWK',
    'WebFinger',
  ],
  ...['session store', 'session cookie', 'shared state', 'store of clients', 'list of clients', 'Redis', 'PostgreSQL'],
  ...['hook', 'cookie', 'form', 'body', 'host name', 'revocation', 'lifetime', 'command', 'claim', 'claims', 'scope'],
  ...['identifier', 'OpenID provider'],
  ...['The app', 'URL of the app', 'test provider', 'authorization request', 'callback', 'redirects'],
  ...['DPoP proof', 'client certificate', 'authorization server', 'Authorization header'],
  ...['route accepts only', 'client in the store', 'client is kept'],
]

const oneOf = (names: readonly string[]): string => `(?:${names.join('|').replaceAll('.', '\\.')})`
const NAMED: readonly RegExp[] = [
  new RegExp(`\\b${oneOf(OPTION_NAMES.filter((name) => !EVERYDAY.includes(name)))}\\b`),
  new RegExp(`\\boption ${oneOf(OPTION_NAMES)}\\b|'${oneOf(OPTION_NAMES)}'|^${oneOf(OPTION_NAMES)} must `),
  new RegExp(`\\b${oneOf([...CLAIMS, ...THINGS])}\\b`),
  // A wire name, a call or a member, a guard, an option of the command, a header, a variable of the environment.
  /\b_?[a-z]+(?:_[a-z]+)+\b|\w\(|\breq\.\w|\brequire[A-Z]|--[a-z]|\b[A-Z][a-z]+-[A-Z]\w+|\b[A-Z]+(?:_[A-Z]+)+\b/,
]

/** What a user reads who is not logged in: nothing for a developer to look at. */
const FOR_USERS = ['Please sign in.', 'There is nothing here.']

const MESSAGES = errorMessages((expression) => expression.startsWith('shown(') || REASONS.has(expression))

/** Those that say nothing here: the rules of the options make them, and the tests of the options look at what comes out. */
const MADE_BY_RULES =
  /^(?:new Set\(problems\)|faults|problems|sentence|message|\w+Rule\(\w+,'\w+'\)|objectOf\(.*|find\(given\))$/

const ALL = MESSAGES.filter(
  ({ parts }) => !parts.some((part) => typeof part !== 'string' && MADE_BY_RULES.test(part.expression)),
)

function textOf({ parts }: ErrorMessage): string {
  return parts.map((part) => (typeof part === 'string' ? part : `\${${part.expression}}`)).join('')
}

/** `file:line  message` of each that breaks a rule. */
function offenders(isRight: (message: ErrorMessage) => boolean): readonly string[] {
  const wrong = ALL.filter((message) => !isRight(message))
  return [...new Set(wrong.map((message) => `${message.places.join(', ') || message.error}\n    ${textOf(message)}`))]
}

function assertNone(rule: string, wrong: readonly string[]): void {
  assert.equal(wrong.length, 0, `${rule}\n\n${wrong.join('\n')}\n`)
}

function placeholdersOf({ parts }: ErrorMessage): readonly Placeholder[] {
  return parts.filter((part) => typeof part !== 'string')
}

function isConcrete(message: ErrorMessage): boolean {
  const text = message.parts.map((part) => (typeof part === 'string' ? part : '')).join('')
  const isNamed = placeholdersOf(message).some(({ expression }) => REASONS.get(expression)?.names === true)
  return isNamed || FOR_USERS.includes(text) || NAMED.some((pattern) => pattern.test(text))
}

describe('the messages of errors', () => {
  it('are all found', () => {
    assert.ok(ALL.length > 150, `only ${ALL.length} were found`)
    const codes = new Set(MESSAGES.map(({ code }) => code))
    assert.ok(codes.size > 40, `only ${codes.size} codes were found`)
  })

  it('are sentences: they begin with a capital letter or a name, and end with a full stop', () => {
    const wrong = offenders(({ parts }) => {
      const [first = '', last = ''] = [parts[0], parts.at(-1)]
      const text = parts.map((part) => (typeof part === 'string' ? part : 'X')).join('')
      const isBegun = /^(?:[A-Z]|--)/.test(text) || isName(String(first))
      const isEnded = typeof last !== 'string' || /[.?]$/.test(last)
      return isBegun && isEnded && !/ {2}| \.(?!\.)|[.?]{2}$|undefined/.test(text)
    })
    assertNone('A message is a whole sentence, or several.', wrong)
  })

  it('name the option, endpoint, claim or other thing that they are about', () => {
    assertNone(
      'A message says which option, endpoint, claim, header, cookie, store or hook it is about.',
      offenders(isConcrete),
    )
  })

  it('hold values of others only as shown() writes them, and others only for a reason', () => {
    const wrong = offenders((message) =>
      placeholdersOf(message).every(({ expression }) => expression.startsWith('shown(') || REASONS.has(expression)),
    )
    const advice =
      'A value from outside goes through shown(). For one of our own, add its expression to ALLOWED in ' +
      'test/package/messages.test.ts, under the reason for which it can neither be a secret nor foreign text.'
    assertNone(advice, wrong)
  })

  it('show no token, code, secret, cookie or other personal value', () => {
    const wrong = offenders((message) =>
      placeholdersOf(message).every(({ expression }) => !expression.startsWith('shown(') || !SECRET.test(expression)),
    )
    assertNone('A token, a code, state, nonce, cookie, secret or sub is not shown, not in part either.', wrong)
  })

  it('show nothing of the request if they may reach the browser', () => {
    const wrong = offenders((message) => {
      const status = message.code === undefined ? 500 : ERROR_STATUS[message.code as ErrorCode]
      return (
        status >= 500 ||
        placeholdersOf(message).every(({ expression }) => !expression.startsWith('shown(') || OWN.test(expression))
      )
    })
    assertNone('The message of an error with a 4xx status names only what we configured, and metadata.', wrong)
  })

  it('have only reasons for expressions that are there', () => {
    const used = new Set(MESSAGES.flatMap(placeholdersOf).map(({ expression }) => expression))
    assert.deepEqual(
      [...REASONS.keys()].filter((expression) => !used.has(expression)),
      [],
    )
  })
})

/** Whether a message begins with a name that is written in small letters: an option, a wire name, a function or member. */
function isName(text: string): boolean {
  const [name = ''] = /^[\w.]+/.exec(text) ?? []
  return (
    OPTION_NAMES.includes(name) ||
    /^(?:req\.|_?[a-z]+(?:_[a-z]+)+\b|require[A-Z]|create[A-Z]|options\b)/.test(text) ||
    /^\w+\.$/.test(name)
  )
}
