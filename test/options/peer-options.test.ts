import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as library from '../../lib/index.ts'
import { BEARER_APP_OPTIONS, BEARER_ISSUER_OPTIONS } from '../../lib/options/bearer-table.ts'
import { APP_OPTIONS, PROVIDER_OPTIONS } from '../../lib/options/option-table.ts'
import { adviseOnPeerOption, BEARER_PEERS, OIDC_PEERS, ROUTES_PEERS } from '../../lib/options/peer-options.ts'

/** What a developer reads about each option that the issue names, and about some others. */
const SENTENCES: readonly (readonly [options: object, fault: string])[] = [
  [{ issuerBaseURL: 'x' }, 'issuerBaseURL is an option of express-openid-connect. Use issuer.'],
  [{ baseURL: 'x' }, 'baseURL is an option of express-openid-connect. Use baseUrl.'],
  [{ clientID: 'x' }, 'clientID is an option of express-openid-connect. Use clientId.'],
  [
    { authRequired: false },
    'authRequired is an option of express-openid-connect. Mount app.use(requireAuth()) after oidc() to require a login everywhere, or guard single routes.',
  ],
  [
    { idpLogout: true },
    'idpLogout is an option of express-openid-connect. Remove it: a logout also ends the session at the provider, if the provider supports it.',
  ],
  [
    { auth0Logout: true },
    'auth0Logout is an option of express-openid-connect. Remove it: a logout also ends the session at the provider, if the provider supports it.',
  ],
  [
    { session: { rolling: true } },
    'session is an option of express-openid-connect. Sessions are those of express-session: mount app.use(session({ ... })) before oidc().',
  ],
  [
    { routes: { postLogoutRedirect: '/bye' } },
    'routes.postLogoutRedirect is an option of express-openid-connect. Use postLogoutRedirectUri, beside routes.',
  ],
  [{ appBaseUrl: 'x' }, 'appBaseUrl is an option of @okta/oidc-middleware. Use baseUrl.'],
  [{ client_id: 'x' }, 'client_id is an option of @okta/oidc-middleware. Use clientId.'],
  [
    { redirect_uri: 'x' },
    'redirect_uri is an option of @okta/oidc-middleware. Set baseUrl, and routes.callback if the callback has another path than /callback.',
  ],
  [
    { loginRedirectUri: 'x' },
    'loginRedirectUri is an option of @okta/oidc-middleware. Set baseUrl, and routes.callback if the callback has another path than /callback.',
  ],
  [
    { callbackURL: 'x' },
    'callbackURL is an option of passport-openidconnect. Set baseUrl, and routes.callback if the callback has another path than /callback.',
  ],
  [
    { authorizationURL: 'x' },
    'authorizationURL is an option of passport-openidconnect. Remove it: issuer is enough, because the endpoints come from its metadata.',
  ],
  [
    { tokenURL: 'x' },
    'tokenURL is an option of passport-openidconnect. Remove it: issuer is enough, because the endpoints come from its metadata.',
  ],
  [
    { realm: 'x' },
    "realm is an option of keycloak-connect. Use issuer: the URL of the server, '/realms/' and the realm.",
  ],
  [
    { 'auth-server-url': 'x' },
    "auth-server-url is an option of keycloak-connect. Use issuer: this URL, '/realms/' and the realm.",
  ],
  [
    { trustHost: true },
    'trustHost is an option of @auth/express. Set baseUrl: the headers of a request are never trusted for redirect URIs.',
  ],
  [
    { authserverurl: 'x' },
    "authserverurl is an option of keycloak-connect. Use issuer: this URL, '/realms/' and the realm.",
  ],
]

const good = { issuer: 'https://op.test', clientId: 'app', clientSecret: 's'.repeat(32), baseUrl: 'https://app.test' }

function faultsOf(options: object): readonly string[] {
  try {
    library.oidc(options as library.Options)
  } catch (error) {
    if (error instanceof library.ConfigError) return error.faults
    throw error
  }
  return []
}

describe('an option of another library', () => {
  for (const [options, fault] of SENTENCES) {
    it(`gets a sentence with what to use here: ${Object.keys(options)}`, () => {
      assert.deepEqual(faultsOf({ ...good, ...options }), [fault])
    })
  }

  it('gets the same sentence in the options of one of several providers', () => {
    const { baseUrl, ...staff } = good
    const options = { baseUrl, secret: 's'.repeat(32), providers: { staff: { ...staff, realm: 'x' } } }
    assert.deepEqual(faultsOf(options), [
      "providers.staff.realm is an option of keycloak-connect. Use issuer: the URL of the server, '/realms/' and the realm.",
    ])
  })

  it('means something else in bearer()', () => {
    assert.match(adviseOnPeerOption('authRequired', 'bearer') ?? '', /Use allowAnonymous/)
    assert.match(adviseOnPeerOption('authRequired', 'oidc') ?? '', /requireAuth\(\)/)
    assert.equal(adviseOnPeerOption('realm', 'bearer'), undefined)
  })

  it('is never one of ours, and appears once', () => {
    const ours = [...Object.keys(APP_OPTIONS), ...Object.keys(PROVIDER_OPTIONS)]
    const theirs = OIDC_PEERS.flatMap(({ advice }) => Object.keys(advice))
    assert.deepEqual(
      theirs.filter((name) => ours.includes(name)),
      [],
    )
    assert.deepEqual(
      theirs.filter((name, index) => theirs.indexOf(name) !== index),
      [],
    )
  })

  it('gets advice that names only options and functions that exist', () => {
    const known = new Set<string>([
      ...[APP_OPTIONS, PROVIDER_OPTIONS, BEARER_APP_OPTIONS, BEARER_ISSUER_OPTIONS].flatMap(Object.keys),
      ...[...Object.keys(library), 'beforeLogin', 'afterLogin', 'returnTo', 'render', 'log', 'maxAge', 'req', 'app'],
      ...['bearer', 'session', 'express', 'trust', 'proxy', 'routes', 'userPoolId', 'region'],
    ])
    for (const { advice } of [...OIDC_PEERS, ...ROUTES_PEERS, ...BEARER_PEERS]) {
      for (const [name, text] of Object.entries(advice)) {
        // Words that are written as code only: they have a capital inside, or parentheses behind.
        const names = [...text.matchAll(/\b([a-z]+[A-Z]\w*)\b|\b(\w+)\(/g)].map(
          ([, camel, call]) => camel ?? call ?? '',
        )
        assert.deepEqual(
          names.filter((one) => !known.has(one) && !['set', 'use', 'login', 'to'].includes(one)),
          [],
          name,
        )
      }
    }
  })
})
