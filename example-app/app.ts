import express, { type Express } from 'express'
import session, { type Store } from 'express-session'
import { bearer } from '../lib/bearer.ts'
import {
  checkSession,
  errorPage,
  type OidcMiddleware,
  oidc,
  type ProviderOptions,
  requireAuth,
  requireClaim,
  requireScope,
  type SharedState,
} from '../lib/index.ts'
import { serveAssets } from './assets.ts'
import { serveBrowserModule } from './browser-module.ts'
import { createLoginRecorder } from './login-recorder.ts'
import { adminPage } from './pages/admin.ts'
import { anatomyPage } from './pages/anatomy.ts'
import { apiPage } from './pages/api.ts'
import { choicePage } from './pages/choice.ts'
import { PASSENGERS, REFUNDS } from './pages/figures.ts'
import { homePage } from './pages/home.ts'
import { profilePage } from './pages/profile.ts'
import { refundsPage } from './pages/refunds.ts'
import { reportsPage } from './pages/reports.ts'
import { showNotFound, showProblem } from './problems.ts'
import { refuseOtherOrigins } from './same-origin.ts'
import { securityHeaders } from './security-headers.ts'
import { toVisitor, visitorOf } from './visitor.ts'

/** How the app is registered at one provider, and how its pages describe that provider. */
export interface Registration {
  /** The name of the provider in URLs. */
  readonly name: string
  readonly title: string
  readonly mark: string
  readonly audience: string
  readonly issuer: string
  readonly scope: string
  /** A client id, with a secret unless it is a public client; or how the app registers itself. */
  readonly client: Pick<ProviderOptions, 'clientId' | 'clientSecret' | 'registration'>
}

/** What differs between development and production. */
export interface AppSettings {
  readonly providers: readonly Registration[]
  /** The app's origin as browsers see it: `https://reports.example.com`. */
  readonly baseUrl: string
  /** Whose access tokens the API accepts. Absent: it accepts sessions only. */
  readonly api: { readonly issuer: string; readonly audience: string } | undefined
  /** A line for the terminal that calls the API with a token. */
  readonly apiCommand: string | undefined
  /** Signs the session cookie. */
  readonly sessionSecret: string
  /** Encrypts logins in progress, and tokens in the session store. */
  readonly oidcSecret: string
  /** Default: the memory of this process, for development only. */
  readonly store: Store | undefined
  /** Default: what nodes share is kept in the session store. */
  readonly sharedState: SharedState | undefined
}

declare module 'express-session' {
  interface SessionData {
    /** The numbers of the refunds that this user has approved. */
    approvedRefunds: readonly string[]
  }
}

/**
 * The example itself: read it from top to bottom. Everything else in this folder is pages and plumbing. Call
 * `auth.ready()` when the app responds to requests.
 */
export function createApp(settings: AppSettings): {
  readonly app: Express
  readonly auth: OidcMiddleware
  close(): void
} {
  const { providers, baseUrl, api, apiCommand, sessionSecret, oidcSecret, store, sharedState } = settings
  const app = express()
  const isHttps = baseUrl.startsWith('https:')
  const issuers = providers.map(({ issuer }) => issuer)
  // For development: the embedded providers and the app on localhost use plain http.
  const dangerouslyAllowInsecureRequests = [...issuers, baseUrl].some((url) => url.startsWith('http:'))
  const recorder = createLoginRecorder()

  // Behind a proxy that terminates TLS, Express reads from X-Forwarded-Proto that the browser uses https.
  if (isHttps) app.set('trust proxy', 1)
  app.disable('x-powered-by')
  const formTargets = issuers.map((issuer) => new URL(issuer).origin)
  app.use(securityHeaders({ formTargets, scripts: 'none', frames: 'own' }))
  app.use('/assets', serveAssets())

  // 1. A session. Lax, not strict: the provider redirects the browser here from another site, with this cookie.
  app.use(
    session({
      name: isHttps ? '__Host-harbourline' : 'harbourline',
      secret: sessionSecret,
      ...(store && { store }),
      resave: false,
      saveUninitialized: false,
      cookie: { httpOnly: true, sameSite: 'lax', secure: isHttps },
    }),
  )

  // 2. The login. It responds at /login, /callback/<provider> and /logout, and sets req.oidc. Its secret is not that of
  // the session: each secret has one purpose, so that you can change one of them without the other.
  const auth = oidc({
    baseUrl,
    secret: oidcSecret,
    providers: Object.fromEntries(
      providers.map(({ name, issuer, client, scope }) => [name, { issuer, ...client, scope }]),
    ),
    ...(sharedState && { sharedState }),
    ...(providers.length > 1 && { providerChooser: '/choose' }),
    postLogoutRedirectUri: '/signed-out',
    routes: { user: '/user' },
    hooks: recorder.hooks,
    dangerouslyAllowInsecureRequests,
  })
  app.use(recorder.middleware, auth)

  // 3. An API. bearer() accepts the access tokens of programs and, with allowSession, the sessions of our own pages too. One
  // guard serves both. Errors are JSON.
  if (api) app.use('/api/v1', bearer({ ...api, allowSession: true, dangerouslyAllowInsecureRequests }))
  app.get(
    '/api/v1/traffic',
    requireScope('reports:read').before(({ oidc: { authenticatedBy, claims, expiresAt } }, res) => {
      const passengers = Object.fromEntries(PASSENGERS.map(({ label, value }) => [label, value]))
      res.json({ authenticatedBy, sub: claims.sub, expiresAt, passengers })
    }),
  )
  app.use('/api/v1', errorPage())

  // 4. Only our own pages may send forms. This comes after the login, because providers may post to /callback.
  app.use(refuseOtherOrigins(baseUrl))

  // 5. Public pages. req.oidc says whether a user is logged in.
  app.get(['/', '/signed-out'], (req, res) => {
    const visitor = visitorOf(req)
    res.send(homePage({ visitor, farewell: req.path === '/signed-out' && !visitor }))
  })
  app.get('/choose', (req, res) => {
    // The page passes it on to /login, which accepts only paths of this app.
    const { returnTo } = req.query
    const target = typeof returnTo === 'string' ? returnTo : '/'
    res.send(choicePage({ providers, returnTo: target, visitor: visitorOf(req) }))
  })

  // 6. Pages behind guards. A user who is not logged in goes to a provider first, and comes back to the same page.
  // checkSession() asks the provider once a minute whether the user still has a session there.
  app.get(
    '/profile',
    checkSession({ every: 60 }),
    requireAuth().before(async (req, res) => {
      const { claims, scope, expiresAt, provider } = req.oidc
      // tokens() reads the tokens from the session store. Pages show when they expire, never the tokens.
      const tokens = await req.oidc.tokens()
      const times = { expiresAt, accessTokenExpiresAt: tokens?.expiresAt, now: Math.floor(Date.now() / 1000) }
      const providerTitle = providers.find(({ name }) => name === provider)?.title
      res.send(profilePage({ visitor: toVisitor(claims), providerTitle, claims, scope, ...times }))
    }),
  )
  app.get(
    '/reports',
    requireScope('reports:read').before((req, res) => res.send(reportsPage(toVisitor(req.oidc.claims)))),
  )
  app.get(
    '/admin',
    requireClaim('groups', 'admin').before((req, res) => res.send(adminPage(toVisitor(req.oidc.claims)))),
  )

  // 7. Refunds need a recent login. A user whose login is older logs in again, at the same provider.
  const recent = { maxAge: 120 }
  app.get(
    '/refunds',
    requireAuth(recent).before((req, res) => {
      res.send(refundsPage(toVisitor(req.oidc.claims), req.session.approvedRefunds ?? []))
    }),
  )
  app.post('/refunds', express.urlencoded({ extended: false, limit: '1kb' }), (req, res) => {
    const number: unknown = req.body?.number
    if (req.oidc.meets(recent) && REFUNDS.some((refund) => refund.number === number)) {
      req.session.approvedRefunds = [...new Set(req.session.approvedRefunds).add(String(number))]
    }
    // If the login is too old by now, the guard of this page sends the user to log in again: a POST cannot be repeated.
    res.redirect(303, '/refunds')
  })

  // 8. A page whose script calls the API with express-oidc/browser. Only this page may run scripts.
  app.get('/assets/express-oidc.js', serveBrowserModule())
  app.get('/api', securityHeaders({ formTargets, scripts: 'own', frames: 'own' }), (req, res) => {
    res.send(apiPage({ visitor: visitorOf(req), command: apiCommand }))
  })
  app.get(
    '/anatomy',
    requireAuth().before(async (req, res) => {
      const { claims, expiresAt, provider } = req.oidc
      const registration = providers.find(({ name }) => name === provider)
      const tokens = await req.oidc.tokens()
      res.send(
        anatomyPage({
          ...{ visitor: toVisitor(claims), claims, expiresAt, accessTokenExpiresAt: tokens?.expiresAt },
          ...{ providerTitle: registration?.title ?? 'the provider', record: req.session.loginRecord },
          now: Math.floor(Date.now() / 1000),
        }),
      )
    }),
  )

  // 9. A login that your code starts: it shows the consent page again, although the provider remembers the decision.
  app.get('/permissions', requireAuth(), (req) =>
    req.oidc.login({
      returnTo: req.query['returnTo'] === '/reports' ? '/reports' : '/profile',
      authorizationParams: { prompt: 'consent' },
    }),
  )

  // 10. Errors. Users get our pages; scripts get the JSON of errorPage().
  app.use(showNotFound)
  app.use(showProblem)
  app.use(errorPage())
  return { app, auth, close: recorder.close }
}
