import express from 'express'
import { oidc, requireAuth } from 'express-oidc'
import session from 'express-session'
import { serve } from './control.js'

const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env

await serve((baseUrl) => {
  const app = express()
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false }))
  app.use(oidc({ issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true }))
  app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
  return app
})
