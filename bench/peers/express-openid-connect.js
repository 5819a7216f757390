import openid from 'express-openid-connect'

const { auth, requiresAuth } = openid

/** Auth0's middleware with the code flow. It has a session of its own, which lies in the same store. */
export function createApp({ express, store, issuer, clientId, clientSecret, baseUrl }) {
  const app = express()
  app.use(
    auth({
      issuerBaseURL: issuer,
      clientID: clientId,
      clientSecret,
      baseURL: baseUrl,
      secret: 'only for benchmarks, and long enough',
      authRequired: false,
      authorizationParams: { response_type: 'code', scope: 'openid profile email' },
      routes: { login: false },
      session: { store },
    }),
  )
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/login', (req, res) => res.oidc.login({ returnTo: req.query.returnTo }))
  app.get('/profile', requiresAuth(), (req, res) => res.end(req.oidc.user.name))
  return app
}
