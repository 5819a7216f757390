import { promisify } from 'node:util'
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  ClientSecretBasic,
  calculatePKCECodeChallenge,
  discovery,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client'

/** A login that you write yourself with openid-client: discovery, PKCE, state, nonce, and a new session for the login. */
export async function createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }) {
  const auth = ClientSecretBasic(clientSecret)
  const client = await discovery(new URL(issuer), clientId, {}, auth, { execute: [allowInsecureRequests] })
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.get('/', (_req, res) => res.end('hello'))

  app.get('/login', async (req, res) => {
    const codeVerifier = randomPKCECodeVerifier()
    const [state, nonce] = [randomState(), randomNonce()]
    req.session.login = { codeVerifier, state, nonce, returnTo: req.query.returnTo }
    const url = buildAuthorizationUrl(client, {
      redirect_uri: `${baseUrl}/callback`,
      scope: 'openid profile email',
      state,
      nonce,
      code_challenge: await calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    })
    res.redirect(url.href)
  })

  app.get('/callback', async (req, res) => {
    const { codeVerifier, state, nonce, returnTo } = req.session.login
    const tokens = await authorizationCodeGrant(client, new URL(req.originalUrl, baseUrl), {
      pkceCodeVerifier: codeVerifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    })
    await promisify(req.session.regenerate).call(req.session)
    req.session.user = tokens.claims()
    req.session.tokens = { idToken: tokens.id_token, accessToken: tokens.access_token }
    await promisify(req.session.save).call(req.session)
    res.redirect(returnTo)
  })

  app.get('/profile', (req, res) => {
    if (req.session.user) res.end(req.session.user.name)
    else res.redirect(`/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
  })
  return app
}
