import { once } from 'node:events'
import okta from '@okta/oidc-middleware'

/** Okta's middleware. It takes the claims from UserInfo, which is one request more for each login. */
export async function createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }) {
  const oidc = new okta.ExpressOIDC({
    issuer,
    client_id: clientId,
    client_secret: clientSecret,
    appBaseUrl: baseUrl,
    scope: 'openid profile email',
    routes: { loginCallback: { path: '/callback', afterCallback: '/profile' } },
    testing: { disableHttpsCheck: true },
  })
  await once(oidc, 'ready')
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.use(oidc.router)
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/profile', oidc.ensureAuthenticated(), (req, res) => res.end(req.userContext.userinfo.name))
  return app
}
