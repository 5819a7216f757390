import { Passport } from 'passport'
import OpenIDConnectStrategy from 'passport-openidconnect'

/** Passport with its defaults: no PKCE, no nonce, no discovery, and no check of the ID Token's signature. */
export function createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }) {
  const passport = new Passport()
  passport.use(
    new OpenIDConnectStrategy(
      {
        issuer,
        authorizationURL: `${issuer}/authorize`,
        tokenURL: `${issuer}/token`,
        clientID: clientId,
        clientSecret,
        callbackURL: `${baseUrl}/callback`,
        scope: ['profile', 'email'],
      },
      // Its own profile has only some of the claims.
      (_issuer, _profile, _context, idToken, done) => done(null, claimsOf(idToken)),
    ),
  )
  passport.serializeUser((user, done) => done(null, user))
  passport.deserializeUser((user, done) => done(null, user))

  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.use(passport.session())
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/login', passport.authenticate('openidconnect'))
  app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/profile' }))
  app.get('/profile', (req, res) => {
    if (req.isAuthenticated()) res.end(req.user.name)
    else res.redirect(`/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
  })
  return app
}

function claimsOf(idToken) {
  return JSON.parse(Buffer.from(idToken.split('.')[1], 'base64url').toString())
}
