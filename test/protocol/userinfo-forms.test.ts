import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeProtectedHeader } from 'jose'
import type { AnyOptions } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createClientKeys, publicKeySet, signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertLoggedIn,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  type StandSettings,
  startStandAt,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { startProvider } from '../support/servers/provider.ts'
import { answered, type JsonChange, type JsonObject } from '../support/strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

const USERINFO = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }

function settingsFor(provider: StrictProviderOptions, options: Partial<AnyOptions> = {}): StandSettings {
  return {
    provider: { idToken: 'thin', ...provider },
    app: { options: { userinfo: true, ...options }, routes: USERINFO },
  }
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

type Change = (provider: StrictProvider) => void

/** A whole login where one thing of UserInfo is changed. */
function attackOn(stand: Stand) {
  return async (change: Change): Promise<Outcome> => {
    change(stand.provider)
    const outcome = await logIn(stand)
    // What the app does not like is no fault of its own.
    assert.deepEqual(stand.provider.complaints, [])
    return outcome
  }
}

const CALLS = { '/token': 1, '/userinfo': 1 }

/** Other claims, in whatever form they come. */
function claims(change: JsonChange): Change {
  return (provider) => {
    provider.change.userinfo = change
  }
}

const having = (members: JsonObject): Change => claims((json) => ({ ...json, ...members }))
const without = (name: string): Change => claims(({ [name]: _, ...json }) => json)

/** Another signed token. */
function token(edit: (jwt: string, provider: StrictProvider) => string): Change {
  return (provider) => {
    provider.change.userinfoJwt = (jwt) => edit(jwt, provider)
  }
}

const header = (members: JsonObject): Change => {
  return (provider) => {
    provider.change.userinfoJwtHeader = (good) => ({ ...good, ...members })
  }
}

const claimsIn = (jwt: string): JsonObject => {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}

interface Form {
  readonly name: string
  readonly provider: StrictProviderOptions
  readonly type: string
}

const JWT = 'application/jwt'
const FORMS: readonly Form[] = [
  { name: 'plain', provider: {}, type: 'application/json' },
  ...['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA', 'HS256'].map((alg) => ({
    name: `signed with ${alg}`,
    provider: { userinfoSignedResponseAlg: alg },
    type: JWT,
  })),
  ...['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A128KW', 'dir', 'A256KW'].map((alg) => ({
    name: `encrypted alone by ${alg}`,
    provider: { userinfoEncryptedResponseAlg: alg },
    type: JWT,
  })),
  ...[
    ['ES256', 'RSA-OAEP-256', 'A256GCM'],
    ['PS256', 'ECDH-ES', 'A128CBC-HS256'],
    ['HS256', 'dir', 'A256CBC-HS512'],
    ['RS256', 'A128GCMKW', 'A128GCM'],
  ].map(([signed, encrypted, enc]) => ({
    name: `signed with ${signed}, encrypted by ${encrypted} and ${enc}`,
    provider: {
      userinfoSignedResponseAlg: signed,
      userinfoEncryptedResponseAlg: encrypted,
      userinfoEncryptedResponseEnc: enc,
    },
    type: JWT,
  })),
]

for (const { name, provider, type } of FORMS) {
  for (const by of ['header', 'body'] as const) {
    describe(`UserInfo that is ${name}, requested with the token in the ${by}`, () => {
      const stand = createStand(settingsFor({ ...provider, userinfoBearerMethod: by }))

      it('is read at login, and when the application requests it', async () => {
        const { browser, page } = await logIn(stand)
        await assertLoggedIn(stand, { browser, page })
        assert.deepEqual([page.json()['email'], page.json()['name']], ['alice@example.test', 'Alice Example'])
        const asked = await browser.fetch('/userinfo')
        assert.deepEqual([asked.status, asked.json()['email']], [200, 'alice@example.test'])
        const requests = stand.provider.requests.filter(({ endpoint }) => endpoint === '/userinfo')
        assert.deepEqual(
          requests.map(({ method, headers, form }) => [
            method,
            headers.accept,
            headers.authorization === undefined,
            [...form.keys()],
          ]),
          Array(2).fill(by === 'header' ? ['GET', type, false, []] : ['POST', type, true, ['access_token']]),
        )
        assert.deepEqual(stand.provider.complaints, [])
      })

      it('may have claims with any name and text', async () => {
        const odd = {
          name: 'J\u00fcrgen \u{1f600} \u6771\u4eac <b>',
          constructor: 'x',
          toString: 'y',
          'https://claims.example/roles': ['a', { b: [1, null, true] }],
          nothing: null,
        }
        stand.provider.change.userinfo = (json) =>
          JSON.parse(
            `{ "__proto__": { "admin": true }, "then": "not a promise", ${JSON.stringify({ ...json, ...odd }).slice(1)}`,
          )
        const { browser, page } = await logIn(stand)
        assert.equal(page.status, 200, page.body)
        const { then, name: named, nothing, 'https://claims.example/roles': roles, admin } = page.json()
        assert.deepEqual(
          [then, named, roles, nothing, admin],
          ['not a promise', odd.name, odd['https://claims.example/roles'], undefined, undefined],
        )
        assert.equal(Reflect.get({}, 'admin'), undefined)
        assert.equal((await browser.fetch('/userinfo')).json()['then'], 'not a promise')
        assert.equal((await browser.fetch('/profile')).status, 200)
      })
    })
  }
}

// What is the same for all of them is shown by some.
for (const { name, provider } of FORMS.filter((_, index) => index % 3 === 0)) {
  describe(`UserInfo that is ${name} is refused if it is`, () => {
    const stand = createStand(settingsFor(provider))
    const rows: readonly Row<Change>[] = [
      ['about somebody else', having({ sub: 'mallory' }), 'ERR_OIDC_USERINFO_SUBJECT'],
      ['about nobody', without('sub'), 'ERR_OIDC_USERINFO_SUBJECT'],
      ['about a list', having({ sub: ['user-subject'] }), 'ERR_OIDC_USERINFO_SUBJECT'],
      ['about one in other letters', having({ sub: 'User-Subject' }), 'ERR_OIDC_USERINFO_SUBJECT'],
      ['a refusal', claims(answered(403, { error: 'access_denied' })), 'ERR_OIDC_USERINFO'],
      [
        'an end of the token',
        claims(answered(401, {}, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })),
        'ERR_OIDC_USERINFO',
      ],
      ['nothing', claims(answered(204, '')), 'ERR_OIDC_USERINFO'],
      ['a fault of the provider', claims(answered(503, {})), 'ERR_OIDC_PROVIDER_STATUS'],
      ['a redirect', claims(answered(302, '', { Location: 'https://evil.example' })), 'ERR_OIDC_PROVIDER_REDIRECT'],
      ['a page', claims(answered(200, '<p>', { 'Content-Type': 'text/html' })), 'ERR_OIDC_USERINFO'],
    ]
    testRefusals(rows, stand, attackOn(stand), CALLS)
  })
}

/** An answer in another form than was registered, of the right content type. */
function sent(body: (good: JsonObject, provider: StrictProvider) => unknown, type: string): Change {
  return (provider) => {
    provider.change.userinfo = (json, answer) => {
      answer.headers['Content-Type'] = type
      return String(body(json, provider))
    }
  }
}

const asJson = (type: string): Change => sent((json) => JSON.stringify(json), type)
const asNone = sent((json) => `${encode({ alg: 'none' })}.${encode(json)}.`, JWT)
const asSigned = sent(
  (json, { keys }) => signJws('RS256', keys.rsa.privateKey, { alg: 'RS256', kid: keys.rsa.kid }, json),
  JWT,
)

describe('UserInfo that must be plain is refused if it is', () => {
  const stand = createStand(settingsFor({}))
  const rows: readonly Row<Change>[] = [
    ['signed, which nobody would check', asSigned, 'ERR_OIDC_USERINFO'],
    ['a JWT that nobody has signed', asNone, 'ERR_OIDC_USERINFO'],
    ['JSON by the name of a JWT', asJson(JWT), 'ERR_OIDC_USERINFO'],
    ['JSON by the name of text', asJson('text/plain'), 'ERR_OIDC_USERINFO'],
    ['JSON by no name', asJson(''), 'ERR_OIDC_USERINFO'],
    ['two objects', sent((json) => JSON.stringify(json).repeat(2), 'application/json'), 'ERR_OIDC_USERINFO'],
    ['a list', sent((json) => JSON.stringify([json]), 'application/json'), 'ERR_OIDC_USERINFO'],
    [
      'too deep',
      having({ deep: JSON.parse('[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]') }),
      'ERR_OIDC_USERINFO',
    ],
    ['too long', having({ long: 'x'.repeat(1_100_000) }), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
  ]
  testRefusals(rows, stand, attackOn(stand), CALLS)

  it('not if issuer and audience are others: in plain JSON they are ordinary claims', async () => {
    having({ iss: 'https://evil.example', aud: 'another', exp: 1 })(stand.provider)
    const { page, browser } = await logIn(stand)
    await assertLoggedIn(stand, { page, browser })
    assert.deepEqual([page.json()['iss'], page.json()['aud']], [stand.provider.issuer, stand.provider.clientId])
  })

  for (const type of [
    'application/json;charset=UTF-8',
    'application/json ; charset=utf-8',
    'Application/JSON',
    'application/scim+json',
  ]) {
    it(`not if its content type is ${type}`, async () => {
      asJson(type)(stand.provider)
      await assertLoggedIn(stand, await logIn(stand))
    })
  }
})

const past = (): number => Math.floor(Date.now() / 1000) - 61

/** The claims of a JWT, whether signed or encrypted. */
const PARTIES: readonly Row<Change>[] = [
  ['of another issuer', having({ iss: 'https://evil.example' }), 'ERR_OIDC_USERINFO_JWT_ISSUER'],
  [
    'of the issuer with a slash',
    claims((json) => ({ ...json, iss: `${json['iss']}/` })),
    'ERR_OIDC_USERINFO_JWT_ISSUER',
  ],
  ['of two issuers', claims((json) => ({ ...json, iss: [json['iss']] })), 'ERR_OIDC_USERINFO_JWT_ISSUER'],
  ['of no issuer, but of null', having({ iss: null }), 'ERR_OIDC_USERINFO_JWT_ISSUER'],
  ['for another client', having({ aud: 'another' }), 'ERR_OIDC_USERINFO_JWT_AUDIENCE'],
  ['for others', having({ aud: ['another', 'test-client-2'] }), 'ERR_OIDC_USERINFO_JWT_AUDIENCE'],
  ['for nobody', having({ aud: [] }), 'ERR_OIDC_USERINFO_JWT_AUDIENCE'],
  ['for null', having({ aud: null }), 'ERR_OIDC_USERINFO_JWT_AUDIENCE'],
  ['over', claims((json) => ({ ...json, exp: past() })), 'ERR_OIDC_USERINFO'],
  ['over at no time that is one', having({ exp: '9999999999' }), 'ERR_OIDC_USERINFO'],
]

describe('UserInfo that must be signed is refused if it is', () => {
  const stand = createStand(settingsFor({ userinfoSignedResponseAlg: 'RS256' }))
  const resigned =
    (alg: string, key: (provider: StrictProvider) => Parameters<typeof signJws>[1], members: JsonObject = {}): Change =>
    (provider) => {
      provider.change.userinfoJwt = (jwt) => {
        return signJws(alg, key(provider), { ...decodeProtectedHeader(jwt), alg, ...members }, claimsIn(jwt))
      }
    }
  const rows: readonly Row<Change>[] = [
    ['plain', asJson('application/json'), 'ERR_OIDC_USERINFO'],
    ['plain by the name of a JWT', asJson(JWT), 'ERR_OIDC_USERINFO_JWT_MALFORMED'],
    ['a JWT by another name', asNoType, 'ERR_OIDC_USERINFO'],
    ['signed by nobody', asNone, 'ERR_OIDC_USERINFO_JWT_MALFORMED'],
    [
      'signed by nobody, with something after the dot',
      sent((json) => `${encode({ alg: 'none' })}.${encode(json)}.eA`, JWT),
      'ERR_OIDC_USERINFO_JWT_ALG',
    ],
    ['signed with its signature cut off', token((jwt) => jwt.replace(/[^.]+$/, '')), 'ERR_OIDC_USERINFO_JWT_MALFORMED'],
    [
      'signed with another algorithm',
      resigned('PS256', ({ keys }) => keys.rsa.privateKey),
      'ERR_OIDC_USERINFO_JWT_ALG',
    ],
    ['signed with the secret', resigned('HS256', ({ clientSecret }) => clientSecret), 'ERR_OIDC_USERINFO_JWT_ALG'],
    [
      'signed with the secret by the name of RS256',
      resigned('HS256', ({ clientSecret }) => clientSecret, { alg: 'RS256' }),
      'ERR_OIDC_USERINFO_JWT_SIGNATURE',
    ],
    [
      'signed with a key of its own',
      resigned('ES256', ({ keys }) => keys.p256.privateKey),
      'ERR_OIDC_USERINFO_JWT_ALG',
    ],
    ['signed with a key that is not published', header({ kid: 'nobody' }), 'ERR_OIDC_USERINFO_JWT_KEY'],
    [
      'signed, with other claims',
      token((jwt) => jwt.replace(/\.[^.]+\./, `.${encode({ ...claimsIn(jwt), email: 'x' })}.`)),
      'ERR_OIDC_USERINFO_JWT_SIGNATURE',
    ],
    ['another kind of token: at+jwt', header({ typ: 'at+jwt' }), 'ERR_OIDC_USERINFO_JWT_TYPE'],
    ['another kind of token: logout+jwt', header({ typ: 'application/logout+jwt' }), 'ERR_OIDC_USERINFO_JWT_TYPE'],
    ['a token with an extension', header({ crit: ['x'], x: 1 }), 'ERR_OIDC_USERINFO_JWT_CRIT'],
    ['in five parts', token((jwt) => `${jwt}.x.y`), 'ERR_OIDC_USERINFO_JWT_ENCRYPTED'],
    ['empty', token(() => ''), 'ERR_OIDC_USERINFO_JWT_MISSING'],
    ['two tokens', token((jwt) => `${jwt} ${jwt}`), 'ERR_OIDC_USERINFO_JWT_ENCRYPTED'],
    [
      'no claims',
      token((_jwt, { keys }) => signJws('RS256', keys.rsa.privateKey, { alg: 'RS256', kid: keys.rsa.kid }, [])),
      'ERR_OIDC_USERINFO_JWT_MALFORMED',
    ],
    ...PARTIES,
  ]
  testRefusals(rows, stand, attackOn(stand), CALLS)

  it('not if it has no iss and aud, which are only recommended', async () => {
    claims(({ iss: _, aud: __, ...json }) => json)(stand.provider)
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('not if we are one of several audiences', async () => {
    claims((json) => ({ ...json, aud: ['another', json['aud']], exp: Math.floor(Date.now() / 1000) - 30 }))(
      stand.provider,
    )
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('not if a line break follows it', async () => {
    token((jwt) => `${jwt}\n`)(stand.provider)
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('not if the keys of the provider have changed', async () => {
    await logIn(stand)
    await stand.provider.rotateKeys()
    await stand.reset()
    await assertLoggedIn(stand, await logIn(stand))
  })
})

/** The good token by a content type that is none of a JWT. */
function asNoType(provider: StrictProvider): void {
  provider.change.userinfo = (json, answer) => {
    answer.headers['Content-Type'] = 'text/plain'
    return json
  }
}

describe('UserInfo that must be only encrypted is refused if it is', () => {
  const stand = createStand(settingsFor({ userinfoEncryptedResponseAlg: 'RSA-OAEP-256' }))
  const instead = (edit: (jwe: string, inside: string, provider: StrictProvider) => string): Change => {
    return (provider) => {
      provider.change.encryptedUserinfo = (jwe, inside) => edit(jwe, inside, provider)
    }
  }
  const jweHeader = (members: JsonObject): Change => {
    return (provider) => {
      provider.change.jweHeader = (good) => ({ ...good, ...members })
    }
  }
  const rows: readonly Row<Change>[] = [
    ['plain', asJson('application/json'), 'ERR_OIDC_USERINFO'],
    ['plain by the name of a JWT', instead((_jwe, inside) => inside), 'ERR_OIDC_USERINFO_JWT_UNENCRYPTED'],
    ['signed only', asSigned, 'ERR_OIDC_USERINFO_JWT_UNENCRYPTED'],
    ['signed by nobody', asNone, 'ERR_OIDC_USERINFO_JWT_UNENCRYPTED'],
    [
      'encrypted by another algorithm',
      (provider) => provider.changeClient({ userinfoEncryptedResponseAlg: 'RSA-OAEP' }),
      'ERR_OIDC_USERINFO_JWT_ENCRYPTION_ALG',
    ],
    [
      'encrypted with another content encryption',
      (provider) => provider.changeClient({ userinfoEncryptedResponseEnc: 'A256GCM' }),
      'ERR_OIDC_USERINFO_JWT_ENCRYPTION_ALG',
    ],
    [
      'encrypted by RSA1_5',
      (provider) => provider.changeClient({ userinfoEncryptedResponseAlg: 'RSA1_5' }),
      'ERR_OIDC_USERINFO_JWT_ENCRYPTION_ALG',
    ],
    ['cut short', instead((jwe) => jwe.slice(0, -6)), 'ERR_OIDC_USERINFO_JWT_DECRYPTION'],
    ['of another header', jweHeader({ enc: 'A128GCM' }), 'ERR_OIDC_USERINFO_JWT_ENCRYPTION_ALG'],
    ['with an extension', jweHeader({ crit: ['x'], x: 1 }), 'ERR_OIDC_USERINFO_JWT_CRIT'],
    [
      'a token inside, which nobody would verify',
      (provider) => {
        provider.change.userinfoJwt = (inside) => {
          const { rsa } = provider.keys
          return signJws('RS256', rsa.privateKey, { alg: 'RS256', kid: rsa.kid }, JSON.parse(inside))
        }
      },
      'ERR_OIDC_USERINFO_JWT_MALFORMED',
    ],
    ['a list inside', token((inside) => `[${inside}]`), 'ERR_OIDC_USERINFO_JWT_MALFORMED'],
    ['nothing inside', token(() => '{}'), 'ERR_OIDC_USERINFO_SUBJECT'],
    [
      'of another issuer',
      token((inside) => JSON.stringify({ ...JSON.parse(inside), iss: 'https://evil.example' })),
      'ERR_OIDC_USERINFO_JWT_ISSUER',
    ],
    [
      'for another client',
      token((inside) => JSON.stringify({ ...JSON.parse(inside), aud: 'another' })),
      'ERR_OIDC_USERINFO_JWT_AUDIENCE',
    ],
    ['over', token((inside) => JSON.stringify({ ...JSON.parse(inside), exp: past() })), 'ERR_OIDC_USERINFO'],
  ]
  testRefusals(rows, stand, attackOn(stand), CALLS)
})

describe('UserInfo that must be signed and encrypted is refused if it is', () => {
  const registered = { userinfoSignedResponseAlg: 'ES256', userinfoEncryptedResponseAlg: 'ECDH-ES' }
  const stand = createStand(settingsFor(registered))
  const rows: readonly Row<Change>[] = [
    ['plain', asJson('application/json'), 'ERR_OIDC_USERINFO'],
    [
      'signed only',
      (provider) => {
        provider.change.encryptedUserinfo = (_jwe, inside) => inside
      },
      'ERR_OIDC_USERINFO_JWT_UNENCRYPTED',
    ],
    ['encrypted only', token((jwt) => JSON.stringify(claimsIn(jwt))), 'ERR_OIDC_USERINFO_JWT_MALFORMED'],
    [
      'signed by nobody inside',
      token((jwt) => `${encode({ alg: 'none' })}.${encode(claimsIn(jwt))}.`),
      'ERR_OIDC_USERINFO_JWT_MALFORMED',
    ],
    [
      'signed with another algorithm inside',
      (provider) => provider.changeClient({ userinfoSignedResponseAlg: 'RS256' }),
      'ERR_OIDC_USERINFO_JWT_ALG',
    ],
    ...PARTIES,
  ]
  testRefusals(rows, stand, attackOn(stand), CALLS)
})

describe('UserInfo in another form than configured', () => {
  const cases: readonly (readonly [
    name: string,
    provider: StrictProviderOptions,
    options: Partial<AnyOptions>,
    code: string,
  ])[] = [
    [
      'signed, and plain is awaited',
      { userinfoSignedResponseAlg: 'RS256' },
      { userinfoSignedResponseAlg: undefined } as never,
      'ERR_OIDC_USERINFO',
    ],
    ['plain, and signed is awaited', {}, { userinfoSignedResponseAlg: 'RS256' }, 'ERR_OIDC_USERINFO'],
    ['plain, and encrypted is awaited', {}, { userinfoEncryptedResponseAlg: 'dir' }, 'ERR_OIDC_USERINFO'],
    [
      'signed, and encrypted is awaited',
      { userinfoSignedResponseAlg: 'RS256' },
      { userinfoEncryptedResponseAlg: 'dir' },
      'ERR_OIDC_USERINFO_JWT_UNENCRYPTED',
    ],
    [
      'in the body, and the header is awaited',
      { userinfoBearerMethod: 'header' },
      { userinfoBearerMethod: 'body' },
      'ERR_OIDC_USERINFO',
    ],
    [
      'in the header, and the body is awaited',
      { userinfoBearerMethod: 'body' },
      { userinfoBearerMethod: 'header' },
      'ERR_OIDC_USERINFO',
    ],
  ]
  const stage = createStage({ app: { errorHandler: 'json', routes: USERINFO } })
  for (const [name, provider, options, code] of cases) {
    it(`fails the login: ${name}`, async () => {
      const other = await stage.startOther({ idToken: 'thin', ...provider })
      const stand = stage.stopLater(await startStandAt(other, settingsFor({}, options).app))
      const { page } = await logIn(stand)
      assert.deepEqual([page.status, stand.app.errors.map((error) => error.code)], [502, [code]])
      assert.deepEqual([await stand.app.sessions(), other.calls['/userinfo']], [0, 1])
    })
  }
})

describe('a failure of UserInfo after the login', () => {
  const stand = createStand(settingsFor({ userinfoSignedResponseAlg: 'ES256' }))

  it('is thrown to the caller, and the login continues', async () => {
    const { browser } = await logIn(stand)
    header({ typ: 'at+jwt' })(stand.provider)
    const page = await browser.fetch('/userinfo')
    assert.deepEqual([page.status, stand.app.errors.map(({ code }) => code)], [502, ['ERR_OIDC_USERINFO_JWT_TYPE']])
    assert.equal((await browser.fetch('/profile')).status, 200)
  })
})

// Making RSA keys takes longer than all the rest.
const keys = createClientKeys()

describe('UserInfo of oidc-provider', () => {
  const stage = createStage({ app: { errorHandler: 'json', routes: USERINFO } })
  const algs = ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256']
  const features = { jwtUserinfo: { enabled: true }, encryption: { enabled: true } }
  const configuration = {
    enabledJWA: {
      userinfoSigningAlgValues: algs,
      userinfoEncryptionAlgValues: ['RSA-OAEP-256', 'ECDH-ES', 'dir'],
      userinfoEncryptionEncValues: ['A128CBC-HS256', 'A256GCM'],
    },
  }

  async function claimsBy(client: object, options: Partial<AnyOptions>): Promise<void> {
    const provider = stage.stopLater(await startProvider({ client: { ...client }, features, configuration }))
    const app = await stage.start({ userinfo: true, ...options }, { provider })
    const browser = app.browser()
    const page = await browser.open('/profile')
    assert.deepEqual([app.errors.map(String), page.json()['email']], [[], 'alice@example.test'])
    assert.equal((await browser.fetch('/userinfo')).json()['email'], 'alice@example.test')
  }

  for (const alg of algs) {
    it(`is read, signed with ${alg}`, async () => {
      await claimsBy({ userinfo_signed_response_alg: alg }, { userinfoSignedResponseAlg: alg })
    })
  }

  for (const [alg, enc] of [
    ['RSA-OAEP-256', 'A128CBC-HS256'],
    ['ECDH-ES', 'A256GCM'],
    ['dir', 'A256GCM'],
  ] as const) {
    it(`is read, signed and encrypted with ${alg} and ${enc}`, async () => {
      const registered = {
        userinfo_signed_response_alg: 'ES256',
        userinfo_encrypted_response_alg: alg,
        userinfo_encrypted_response_enc: enc,
        jwks: publicKeySet(keys),
      }
      await claimsBy(registered, {
        userinfoSignedResponseAlg: 'ES256',
        userinfoEncryptedResponseAlg: alg,
        userinfoEncryptedResponseEnc: enc,
        clientKeys: keys as NonNullable<AnyOptions['clientKeys']>,
      })
    })
  }

  it('is read with the token in the body', async () => {
    await claimsBy({}, { userinfoBearerMethod: 'body' })
  })
})
