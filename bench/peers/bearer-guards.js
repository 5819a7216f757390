// The guards of other libraries, each as a function that verifies one request: it resolves, or it rejects.
import { JwtVerifier } from 'aws-jwt-verify'
import { auth } from 'express-oauth2-jwt-bearer'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'

/** Calls a middleware with a request, and resolves if it passes the request on. */
export function guardOf(middleware) {
  return (req) =>
    new Promise((resolve, reject) => {
      const res = { setHeader() {}, end: () => reject(new Error(`refused with ${res.statusCode}`)), statusCode: 200 }
      middleware(req, res, (error) => (error ? reject(error) : resolve()))
    })
}

export function createPeers({ issuer, audience, jwks, pem }) {
  const jwksUri = `${issuer}/jwks`
  const verifier = JwtVerifier.create({ issuer, audience, jwksUri: 'https://never-requested.example/jwks' })
  verifier.cacheJwks(jwks)
  const keys = createRemoteJWKSet(new URL(jwksUri))
  const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken()
  const options = { jwtFromRequest, secretOrKey: pem, issuer, audience, algorithms: ['RS256'] }
  passport.use(new Strategy(options, (claims, done) => done(null, claims)))
  const expressOAuth2 = { issuer, jwksUri, audience, tokenSigningAlg: 'RS256' }
  return {
    'aws-jwt-verify': async (req) => void (await verifier.verify(tokenOf(req))),
    'jose.jwtVerify': async (req) =>
      void (await jwtVerify(tokenOf(req), keys, { issuer, audience, algorithms: ['RS256'] })),
    'express-oauth2-jwt-bearer': guardOf(auth(expressOAuth2)),
    'passport-jwt': guardOf(passport.authenticate('jwt', { session: false })),
    dpop: guardOf(auth({ ...expressOAuth2, dpop: { enabled: true, required: true } })),
  }
}

function tokenOf(req) {
  return req.headers.authorization.slice('Bearer '.length)
}
