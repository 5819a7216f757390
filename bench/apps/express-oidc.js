import { oidc, requireAuth } from 'express-oidc'

/** This library, built. */
export function createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }) {
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.use(oidc({ issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true }))
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/profile', requireAuth(), (req, res) => res.end(req.oidc.claims.name))
  return app
}
