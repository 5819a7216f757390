import express, { type Express } from 'express'
import session, { type Store } from 'express-session'
import { errorPage, oidc, requireAuth, requireClaim, requireScope } from '../lib/index.ts'
import { serveAssets } from './assets.ts'
import { adminPage } from './pages/admin.ts'
import { homePage } from './pages/home.ts'
import { profilePage } from './pages/profile.ts'
import { reportsPage } from './pages/reports.ts'
import { showNotFound, showProblem } from './problems.ts'
import { securityHeaders } from './security-headers.ts'
import { toVisitor, visitorOf } from './visitor.ts'

/** What the app must be told: how it is registered at its provider, and where its sessions live. */
export interface AppSettings {
  readonly issuer: string
  readonly clientId: string
  /** Absent: the app is a public client. */
  readonly clientSecret: string | undefined
  readonly scope: string
  /** Where browsers see the app: `https://reports.example.com`. */
  readonly baseUrl: string
  readonly sessionSecret: string
  /** Absent: sessions live in the memory of this process, which will do for development. */
  readonly store: Store | undefined
}

/**
 * The example itself: read it from top to bottom. Everything else in this folder is pages and plumbing.
 * It rejects when the provider cannot be reached or the settings are wrong.
 */
export async function createApp(settings: AppSettings): Promise<Express> {
  const { issuer, clientId, clientSecret, scope, baseUrl, sessionSecret, store } = settings
  const app = express()
  const isHttps = baseUrl.startsWith('https:')

  // Behind a proxy that ends TLS, Express learns from X-Forwarded-Proto that the browser came over https.
  if (isHttps) app.set('trust proxy', 1)
  app.disable('x-powered-by')
  app.use(securityHeaders({ formTargets: [new URL(issuer).origin], scripts: 'none' }))
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

  // 2. The login. This answers /login, /callback and /logout, and puts req.oidc on every request.
  const auth = oidc({
    issuer,
    clientId,
    ...(clientSecret && { clientSecret }),
    baseUrl,
    scope,
    secret: sessionSecret,
    postLogoutRedirectUri: '/signed-out',
    // The embedded provider speaks plain http, as does the app in development. Nothing on the internet should.
    dangerouslyAllowInsecureRequests: [issuer, baseUrl].some((url) => url.startsWith('http:')),
  })
  app.use(auth)

  // 3. Pages. This one is for everybody: req.oidc says who, if anybody, is signed in.
  app.get(['/', '/signed-out'], (req, res) => {
    const visitor = visitorOf(req)
    res.send(homePage({ path: '/', visitor, farewell: req.path === '/signed-out' && !visitor }))
  })

  // 4. Pages behind guards. Whoever is not signed in goes to the provider first, and comes back to the page asked for.
  app.get(
    '/profile',
    requireAuth().before(async (req, res) => {
      const { claims, scope, expiresAt } = req.oidc
      // Tokens live beside the session and are read only when asked for. The page gets the time, never the token.
      const tokens = await req.oidc.tokens()
      const times = { expiresAt, accessTokenExpiresAt: tokens?.expiresAt, now: Math.floor(Date.now() / 1000) }
      res.send(profilePage({ visitor: toVisitor(claims), claims, scope, ...times }))
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

  // 5. A login of one's own making: ask for consent again, although the provider remembers the last answer.
  app.get('/permissions', requireAuth(), (req) =>
    req.oidc.login({
      returnTo: req.query['returnTo'] === '/reports' ? '/reports' : '/profile',
      authorizationParams: { prompt: 'consent' },
    }),
  )

  // 6. Whatever went wrong. Pages get ours; scripts get the JSON of errorPage().
  app.use(showNotFound)
  app.use(showProblem)
  app.use(errorPage())

  // Fail now, not at the first visitor, where the provider cannot be reached.
  await auth.ready()
  return app
}
