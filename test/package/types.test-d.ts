// Nothing here runs: `tsc` is the test. Each `@ts-expect-error` names the mistake that it catches.
import connect from 'connect'
import express, { Router } from 'express'
import {
  AccessDeniedError,
  type AccessTokenClaims,
  type AddressClaim,
  type AnonymousContext,
  type Authenticated,
  type AuthenticatedContext,
  type AuthorizationError,
  type ConfigError,
  type ErrorCode,
  type Events,
  errorPage,
  type Guard,
  type Handler,
  type Hooks,
  type IdTokenClaims,
  type Json,
  type OidcContext,
  OidcError,
  type OidcMiddleware,
  type Options,
  oidc,
  type ProviderError,
  type ProviderRefusal,
  type Request,
  type Response,
  requireAmr,
  requireAuth,
  requireAuthorizationDetails,
  requireClaim,
  requireGroup,
  requireScope,
  StepUpError,
  type TokenContext,
  type TokenRecord,
  type VerifiedClaim,
} from '../../lib/index.ts'

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles where the type is `true`. */
function expectTrue<_Type extends true>(): void {}

const required = { issuer: 'https://op.test', clientId: 'app', baseUrl: 'https://app.test' } as const

// Names of algorithms and response types.

oidc({ ...required, idTokenSignedResponseAlg: 'ES256', responseType: 'code id_token' })
oidc({ ...required, requestObjectSigningAlg: 'none', idTokenEncryptedResponseEnc: 'A256GCM' })
// @ts-expect-error the digits are swapped
oidc({ ...required, idTokenSignedResponseAlg: 'RS265' })
// @ts-expect-error an ID Token is never unsigned
oidc({ ...required, idTokenSignedResponseAlg: 'none' })
// @ts-expect-error an algorithm of signatures
oidc({ ...required, idTokenEncryptedResponseAlg: 'RS256' })
// @ts-expect-error no login without an ID Token or a code
oidc({ ...required, responseType: 'token' })

// The middleware, the guards and the error page fit into the frameworks.

const app = express()
app.use(oidc(required), requireAuth(), errorPage())
app.get('/a', requireAuth(), requireScope('a'), requireClaim('groups', 'admin'), (req, res) => void res.json(req.oidc))
Router().use(oidc(required)).get('/', requireAuth())
connect().use(oidc(required)).use('/a', requireAuth()).use(errorPage())
expectTrue<Equals<ReturnType<typeof oidc>, OidcMiddleware>>()
expectTrue<Equals<ReturnType<OidcMiddleware['ready']>, Promise<void>>>()
expectTrue<Equals<ReturnType<typeof requireAuth>, Guard>>()

// `req.oidc` is a union that `isAuthenticated` tells apart.

app.get('/', (req, res) => {
  expectTrue<Equals<typeof req.oidc, OidcContext>>()
  // @ts-expect-error nobody may be logged in
  res.send(req.oidc.claims.sub)
  // @ts-expect-error nobody may be logged in, so there may be no scope
  res.send(req.oidc.scope.split(' '))
  if (!req.oidc.isAuthenticated) {
    expectTrue<Equals<typeof req.oidc.claims, undefined>>()
    expectTrue<Equals<typeof req.oidc.scope, undefined>>()
    expectTrue<Equals<typeof req.oidc.expiresAt, undefined>>()
    return
  }
  expectTrue<Equals<typeof req.oidc.claims, IdTokenClaims | (IdTokenClaims & AccessTokenClaims)>>()
  expectTrue<Equals<typeof req.oidc.authenticatedBy, 'session' | 'access_token'>>()
  expectTrue<Equals<typeof req.oidc.scope, string>>()
  expectTrue<Equals<typeof req.oidc.expiresAt, number>>()
  expectTrue<Equals<typeof req.oidc.claims.sub, string>>()
  expectTrue<Equals<typeof req.oidc.claims.email, string | undefined>>()
  expectTrue<Equals<typeof req.oidc.claims.groups, readonly string[] | undefined>>()
  if (req.oidc.authenticatedBy === 'access_token') {
    expectTrue<Equals<typeof req.oidc.claims, IdTokenClaims & AccessTokenClaims>>()
    expectTrue<Equals<typeof req.oidc.token, string>>()
    expectTrue<Equals<typeof req.oidc.clientId, string | undefined>>()
  } else {
    expectTrue<Equals<typeof req.oidc.claims, IdTokenClaims>>()
    // @ts-expect-error a session has its tokens in tokens()
    res.send(req.oidc.token)
  }
  // @ts-expect-error what a provider says of a person is not written to
  req.oidc.claims.email = 'mallory@example.test'
  // @ts-expect-error a claim that nobody knows may be missing, and may be any JSON
  req.oidc.claims['department'].toUpperCase()
  // @ts-expect-error the context is not replaced in parts
  req.oidc.isAuthenticated = false
})

// The methods are there for everybody, and asynchronous where they ask the store or the provider.

app.get('/', async (req) => {
  expectTrue<Equals<Awaited<ReturnType<typeof req.oidc.idToken>>, string>>()
  expectTrue<Equals<Awaited<ReturnType<typeof req.oidc.accessToken>>, string>>()
  expectTrue<Equals<Awaited<ReturnType<typeof req.oidc.tokens>>, TokenRecord | undefined>>()
  expectTrue<Equals<Awaited<ReturnType<typeof req.oidc.userinfo>>, Readonly<Record<string, Json>>>>()
  expectTrue<Equals<ReturnType<typeof req.oidc.loginUrl>, string>>()
  await req.oidc.login()
  await req.oidc.login({ returnTo: '/a', authorizationParams: { prompt: 'login', max_age: 0 } })
  await req.oidc.login({ requirement: { acr: 'phr', maxAge: 300, amr: ['mfa', 'hwk'] } })
  expectTrue<Equals<ReturnType<typeof req.oidc.meets>, boolean>>()
  expectTrue<Equals<ReturnType<typeof req.oidc.silentLoginUrl>, string | undefined>>()
  expectText(req.oidc.loginUrl('/a', { acr: ['phr', 'phrh'] as const }))
  // @ts-expect-error it is called maxAge here
  req.oidc.meets({ max_age: 300 })
  // @ts-expect-error seconds are a number
  req.oidc.meets({ maxAge: '300' })
  // @ts-expect-error what is left open would demand less than was meant
  req.oidc.meets({ acr: process.env['ACR'] })
  // @ts-expect-error a URL object is no path
  await req.oidc.login({ returnTo: new URL('https://app.test/a') })
  // @ts-expect-error a parameter is text or a number
  await req.oidc.login({ authorizationParams: { prompt: true } })
  // @ts-expect-error there is no such option
  await req.oidc.login({ returnto: '/a' })
  // @ts-expect-error where a logout ends is an option of oidc()
  await req.oidc.logout({ returnTo: '/a' })
  // @ts-expect-error a promise is no token
  expectText(req.oidc.accessToken())
})

function expectText(_text: string): void {}

// `.before` narrows the request of one handler, in the types of the framework it is given to.

app.get(
  '/hello',
  requireAuth().before((req, res) => {
    expectTrue<Equals<typeof req.oidc.claims, IdTokenClaims | (IdTokenClaims & AccessTokenClaims)>>()
    expectTrue<Equals<typeof req.oidc.isAuthenticated, true>>()
    res.json({ hello: req.oidc.claims.name, query: req.query })
    // @ts-expect-error a subject is text
    expectNumber(req.oidc.claims.sub)
  }),
)
app.get(
  '/hello',
  requireScope('a').before(async (req, res, next) => {
    await req.oidc.accessToken()
    res.status(200).json(req.oidc.expiresAt)
    next()
  }),
)
app.get('/hello', requireClaim('groups', 'admin').before(sayHello))
connect().use(requireAuth().before((req, res) => res.end(req.oidc.claims.sub)))

function expectNumber(_value: number): void {}

/** A handler that stands by itself says which request it needs. */
function sayHello(req: Authenticated<express.Request>, res: express.Response): void {
  res.json(req.oidc.claims.sub)
}

// @ts-expect-error such a handler may not be mounted without its guard
app.get('/hello', sayHello)

/** A handler with a name of its own names the framework's type. */
export const byItself: Handler = requireAuth().before<Handler>((req, res) => res.end(req.oidc.claims.sub))
export const inExpress: express.RequestHandler = requireAuth().before<express.RequestHandler>((req, res) => {
  res.json(req.oidc.claims.sub)
})

// @ts-expect-error there is nobody to guard: a handler is missing
requireAuth().before()

// Claims are those of the standard, and any others.

export function readClaims(claims: IdTokenClaims): void {
  expectTrue<Equals<typeof claims.email_verified, VerifiedClaim | undefined>>()
  expectTrue<Equals<typeof claims.address, AddressClaim | undefined>>()
  expectTrue<Equals<typeof claims.updated_at, number | string | undefined>>()
  expectTrue<Equals<(typeof claims)['name#ja-Kana-JP'], string | undefined>>()
  const department: Json | AddressClaim | undefined = claims['https://example.test/department']
  if (typeof department === 'string') expectText(department)
  if (claims.email_verified === 'true') expectText('sent as text')
  // @ts-expect-error some providers send text, and the text `false` is true
  expectBoolean(claims.email_verified ?? false)
  // @ts-expect-error a street may be missing
  expectText(claims.address?.street_address)
  // @ts-expect-error the standard knows no such part of an address
  claims.address?.street
  // @ts-expect-error what has a tag may be missing
  expectText(claims['family_name#ja-Hani-JP'])
}

function expectBoolean(_value: boolean): void {}

// Claims of one's own.

interface StaffClaims extends IdTokenClaims {
  readonly department: string
}

export function departmentOf(context: OidcContext<StaffClaims>): string | undefined {
  return context.isAuthenticated ? context.claims.department : undefined
}
expectTrue<
  Equals<
    OidcContext<StaffClaims>,
    AuthenticatedContext<StaffClaims> | TokenContext<StaffClaims & AccessTokenClaims> | AnonymousContext
  >
>()

// @ts-expect-error claims without iss and sub are those of nobody
export type Nobody = OidcContext<{ readonly department: string }>

// Options.

oidc({ ...required, clientSecret: 'x', scope: 'openid', userinfo: true, logoutByGet: true, loginLifetime: 60 })
oidc({ ...required, secret: ['a', 'b'], sessionClaims: ['email'], routes: { login: '/sign-in' } })
oidc({ ...required, sessionClaims: ({ sub, groups }) => ({ sub, roles: groups }) })
oidc({ ...required, authorizationParams: { prompt: 'login', max_age: 300 } } satisfies Options)
oidc({ ...required, hooks: { afterLogin: ({ claims }) => expectText(claims.sub), beforeLogout: async () => {} } })
oidc({ ...required, fetch: (url, init) => fetch(url, init) })

// @ts-expect-error the issuer is missing
oidc({ clientId: 'app', baseUrl: 'https://app.test' })
// @ts-expect-error nothing is read from the environment
oidc()
// @ts-expect-error the name is clientId
oidc({ ...required, clientID: 'app' })
// @ts-expect-error the name is issuer
oidc({ ...required, issuerBaseURL: 'https://op.test' })
// @ts-expect-error durations are numbers of seconds
oidc({ ...required, timeout: '10s' })
// @ts-expect-error the session is express-session's: it has its own options
oidc({ ...required, session: { store: null } })
// @ts-expect-error scopes are one text with spaces
oidc({ ...required, scope: ['openid', 'email'] })
// @ts-expect-error there is no such way to prove oneself
oidc({ ...required, tokenEndpointAuthMethod: 'basic' })
// @ts-expect-error true, false or 'when-needed'
oidc({ ...required, userinfo: 'always' })
// @ts-expect-error parameters are text, numbers, lists or objects
oidc({ ...required, authorizationParams: { prompt: true } })
// @ts-expect-error there is no such route
oidc({ ...required, routes: { signIn: '/sign-in' } })
// @ts-expect-error a route may be moved, not be turned off
oidc({ ...required, routes: { logout: false } })
// @ts-expect-error there is no such hook
oidc({ ...required, hooks: { afterCallback: () => {} } })
// @ts-expect-error claims are chosen, not decided on one by one
oidc({ ...required, sessionClaims: (name: string) => name === 'sub' })
// @ts-expect-error the metadata lacks its endpoints
oidc({ ...required, providerMetadata: { issuer: 'https://op.test' } })
// @ts-expect-error undefined is no value of an option: leave the option out
oidc({ ...required, clientSecret: undefined })

const hooks: Hooks = {
  afterLogin: ({ req, claims, scope }) => {
    expectText(claims.sub + scope + req.method)
    // @ts-expect-error an ID Token is not handed to hooks
    return claims.id_token.length
  },
  // @ts-expect-error nobody may have been logged in
  beforeLogout: ({ claims }) => expectText(claims.sub),
}

export { hooks }

// Guards.

requireScope('a')
requireScope(['a', 'b'] as const)
requireScope({ anyOf: ['a', 'b'] })
requireClaim('groups', 'admin')
requireClaim(['address', 'country'] as const, { anyOf: ['AT', 'DE'] })
requireClaim('level', 3)
requireClaim('email', (email) => String(email).endsWith('@example.test'))
requireClaim((claims) => claims.email_verified === true)

// @ts-expect-error a scope is missing
requireScope()
// @ts-expect-error all of several is what a list means
requireScope({ allOf: ['a', 'b'] })
// @ts-expect-error scopes are given as one list, not one by one
requireScope('a', 'b')
// @ts-expect-error that a claim is there says nothing of what it is
requireClaim('groups')
// @ts-expect-error a list could mean any or all of it
requireClaim('groups', ['admin', 'staff'])
// @ts-expect-error any or all, not both names at random
requireClaim('groups', { oneOf: ['admin'] })
// @ts-expect-error a promise is always truthy: a predicate answers at once
requireClaim(async () => true)
// @ts-expect-error the same for one claim
requireClaim('email', async () => true)

requireGroup('Domain Admins')
requireGroup({ anyOf: ['a', 'b'] as const }, { claim: 'https://example.test/roles' })
requireGroup({ allOf: ['a', 'b'] }, { claim: ['realm_access', 'roles'] as const })
requireAmr('mfa')
requireAmr({ anyOf: ['hwk', 'of our own'] })
app.get('/staff', requireGroup('staff').before(sayHello))
expectTrue<Equals<ReturnType<typeof requireAmr>, Guard>>()

requireAuthorizationDetails('payment_initiation')
requireAuthorizationDetails({ type: 'account_information', actions: ['list'] as const, recurring: true })
requireAuthorizationDetails(({ type, ...members }) => type === 'payment' && members['currency'] === 'EUR')
app.get(
  '/pay',
  requireAuthorizationDetails('payment').before((req, res) => res.json(req.oidc.authorizationDetails[0]?.type)),
)

// @ts-expect-error a type is missing
requireAuthorizationDetails({ actions: ['list'] })
// @ts-expect-error a promise is no answer
requireAuthorizationDetails(async () => true)
// @ts-expect-error several types could mean any or all of them
requireAuthorizationDetails(['payment'])
// @ts-expect-error a group is missing
requireGroup()
// @ts-expect-error groups have names
requireGroup(7)
// @ts-expect-error a list could mean any or all of it
requireGroup(['a', 'b'])
// @ts-expect-error that is what requireClaim is for
requireGroup((groups: unknown) => groups === 'a')
// @ts-expect-error there is no such option
requireGroup('a', { name: 'roles' })
// @ts-expect-error the claim is not given by itself
requireGroup('a', 'roles')
// @ts-expect-error methods have names
requireAmr({ anyOf: [true] })
// @ts-expect-error amr is the only claim there is
requireAmr('mfa', { claim: 'methods' })
// @ts-expect-error an age is a number of seconds
requireAuth({ maxAge: '300' })

// Errors.
const stepUp = new StepUpError({ acr: ['urn:a'], maxAge: 300 })
requireAuth(stepUp.requirement)

export function describeError(error: unknown): string {
  if (error instanceof AccessDeniedError) expectTrue<Equals<typeof error.code, ErrorCode>>()
  if (!(error instanceof OidcError)) return 'another'
  expectTrue<Equals<typeof error.status, number>>()
  expectTrue<Equals<typeof error.expose, boolean>>()
  expectTrue<Equals<typeof error.headers, Readonly<Record<string, string>>>>()
  // @ts-expect-error there is no such code
  if (error.code === 'ERR_OIDC_STATE_MISING') return 'misspelt'
  // @ts-expect-error a code is not written to
  error.code = 'ERR_OIDC_CONFIG'
  return error.code satisfies `ERR_OIDC_${string}`
}
expectTrue<Equals<ConfigError['faults'], readonly string[]>>()
expectTrue<Equals<ProviderError['refusal'], ProviderRefusal | undefined>>()
expectTrue<Equals<AuthorizationError['refusal'], ProviderRefusal>>()

// Events.

expectTrue<Equals<Events['express-oidc:login']['sub'], string>>()
expectTrue<Equals<Events['express-oidc:logout']['sub'], string | undefined>>()
expectTrue<Equals<Events['express-oidc:provider']['outcome'], string | number>>()

// Requests are node's own: neither Express nor express-session is needed to name them.

export const handle: Handler = (req: Request, res: Response, next) => (req.complete ? next() : res.end())
