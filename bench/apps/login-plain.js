import { promisify } from 'node:util'
import express from 'express'
import session from 'express-session'
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
import { serve } from './control.js'

const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env

// What one writes by hand with openid-client: discovery, PKCE, state, nonce, and a new session for the login.
await serve(async (baseUrl) => {
  const auth = ClientSecretBasic(clientSecret)
  const client = await discovery(new URL(issuer), clientId, {}, auth, { execute: [allowInsecureRequests] })
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false }))

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
    if (req.session.user) res.json(req.session.user)
    else res.redirect(`/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
  })
  return app
})
