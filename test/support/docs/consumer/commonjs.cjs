const express = require('express')
const session = require('express-session')
const { errorPage, oidc, requireAuth } = require('express-oidc')
const { memoryState } = require('express-oidc/memory')

const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env
const app = express()
const server = app.listen(0, '127.0.0.1', () => {
  const baseUrl = `http://127.0.0.1:${server.address().port}`
  app.use(session({ secret: 'only for tests', resave: false, saveUninitialized: false }))
  const options = { issuer, clientId, clientSecret, baseUrl, sharedState: memoryState() }
  app.use(oidc({ ...options, dangerouslyAllowInsecureRequests: true }))
  app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
  app.use(errorPage())
  console.log(baseUrl)
})
