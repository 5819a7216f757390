/** express-session alone: the app checks `req.session.user` itself, and its login route stores the claims there. */
export function createApp({ express, session, store, claims }) {
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/login', (req, res) => {
    req.session.user = claims
    res.redirect('/profile')
  })
  app.get('/profile', (req, res) => {
    if (req.session.user) res.end(req.session.user.name)
    else res.redirect(`/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
  })
  return app
}
