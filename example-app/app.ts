import express, { type Express } from 'express'
import session, { type Store } from 'express-session'
import {
  checkSession,
  errorPage,
  oidc,
  type ProviderOptions,
  requireAuth,
  requireClaim,
  requireScope,
  type SharedState,
} from '../lib/index.ts'
import { serveAssets } from './assets.ts'
import { adminPage } from './pages/admin.ts'
import { choicePage } from './pages/choice.ts'
import { REFUNDS } from './pages/figures.ts'
import { homePage } from './pages/home.ts'
import { profilePage } from './pages/profile.ts'
import { refundsPage } from './pages/refunds.ts'
import { reportsPage } from './pages/reports.ts'
import { showNotFound, showProblem } from './problems.ts'
import { securityHeaders } from './security-headers.ts'
import { toVisitor, visitorOf } from './visitor.ts'

/** How the app is registered at one provider, and what it says of it to people. */
export interface Registration {
  /** What the app calls it in addresses. */
  readonly name: string
  readonly title: string
  readonly mark: string
  readonly audience: string
  readonly issuer: string
  readonly scope: string
  /** What the provider knows the app by: an id, with a secret unless it is a public client, or what it registers itself. */
  readonly client: Pick<ProviderOptions, 'clientId' | 'clientSecret' | 'registration'>
}

/** What the app must be told: how it is registered at its providers, and where its sessions live. */
export interface AppSettings {
  readonly providers: readonly Registration[]
  /** Where browsers see the app: `https://reports.example.com`. */
  readonly baseUrl: string
  readonly sessionSecret: string
  /** Absent: sessions live in the memory of this process, which will do for development. */
  readonly store: Store | undefined
  /** Absent: what nodes share is kept in the store. */
  readonly sharedState: SharedState | undefined
}

declare module 'express-session' {
  interface SessionData {
    /** Which refunds this person has approved, by their numbers. */
    approvedRefunds: readonly string[]
  }
}

/**
 * The example itself: read it from top to bottom. Everything else in this folder is pages and plumbing.
 * It rejects when a provider cannot be reached or the settings are wrong.
 */
export async function createApp(settings: AppSettings): Promise<Express> {
  const { providers, baseUrl, sessionSecret, store, sharedState } = settings
  const app = express()
  const isHttps = baseUrl.startsWith('https:')
  const issuers = providers.map(({ issuer }) => issuer)

  // Behind a proxy that ends TLS, Express learns from X-Forwarded-Proto that the browser came over https.
  if (isHttps) app.set('trust proxy', 1)
  app.disable('x-powered-by')
  const formTargets = issuers.map((issuer) => new URL(issuer).origin)
  app.use(securityHeaders({ formTargets, scripts: 'none', frames: 'own' }))
  app.use('/assets', serveAssets())

  // 1. A session. Lax, not strict: the provider sends the browser back from another site, and the cookie must come too.
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

  // 2. The login. This answers /login, /callback/<provider> and /logout, and puts req.oidc on every request.
  const auth = oidc({
    baseUrl,
    secret: sessionSecret,
    providers: Object.fromEntries(
      providers.map(({ name, issuer, client, scope }) => [name, { issuer, ...client, scope }]),
    ),
    ...(sharedState && { sharedState }),
    ...(providers.length > 1 && { providerChooser: '/choose' }),
    postLogoutRedirectUri: '/signed-out',
    // The embedded providers speak plain http, as does the app in development. Nothing on the internet should.
    dangerouslyAllowInsecureRequests: [...issuers, baseUrl].some((url) => url.startsWith('http:')),
  })
  app.use(auth)

  // 3. Pages. These are for everybody: req.oidc says who, if anybody, is signed in.
  app.get(['/', '/signed-out'], (req, res) => {
    const visitor = visitorOf(req)
    res.send(homePage({ path: '/', visitor, farewell: req.path === '/signed-out' && !visitor }))
  })
  app.get('/choose', (req, res) => {
    // It goes back to the login route as it came, which takes no address but this app's own.
    const returnTo = String(req.query['returnTo'] ?? '/')
    res.send(choicePage({ providers, returnTo, visitor: visitorOf(req) }))
  })

  // 4. Pages behind guards. Whoever is not signed in goes to a provider first, and comes back to the page asked for.
  // At this one the provider is asked once a minute, behind the scenes, whether the person is still signed in there.
  app.get(
    '/profile',
    checkSession({ every: 60 }),
    requireAuth().before(async (req, res) => {
      const { claims, scope, expiresAt, provider } = req.oidc
      // Tokens live beside the session and are read only when asked for. The page gets the time, never the token.
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

  // 5. Where money moves, the login must be recent: whose is not proves once more, at the same provider, who they are.
  const recent = { maxAge: 120 }
  app.get(
    '/refunds',
    requireAuth(recent).before((req, res) => {
      res.send(refundsPage(toVisitor(req.oidc.claims), req.session.approvedRefunds ?? []))
    }),
  )
  app.post('/refunds', express.urlencoded({ extended: false, limit: '1kb' }), (req, res) => {
    const number = String(req.body?.number)
    // A form of another site comes without the session: its cookie is Lax.
    if (req.oidc.meets(recent) && REFUNDS.some((refund) => refund.number === number)) {
      req.session.approvedRefunds = [...new Set(req.session.approvedRefunds).add(number)]
    }
    // Who took too long is sent to sign in from there; a form cannot be come back to.
    res.redirect(303, '/refunds')
  })

  // 6. A login of one's own making: ask for consent again, although the provider remembers the last answer.
  app.get('/permissions', requireAuth(), (req) =>
    req.oidc.login({
      returnTo: req.query['returnTo'] === '/reports' ? '/reports' : '/profile',
      authorizationParams: { prompt: 'consent' },
    }),
  )

  // 7. Whatever went wrong. Pages get ours; scripts get the JSON of errorPage().
  app.use(showNotFound)
  app.use(showProblem)
  app.use(errorPage())

  // Fail now, not at the first visitor, where a provider cannot be reached.
  await auth.ready()
  return app
}
