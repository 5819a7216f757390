import { type OidcContext, oidc, type Request, requireAuth, requireScope } from '../../../lib/index.ts'
import { type AppRequest, answerBy } from '../app/app-routes.ts'
import type { Host } from '../app/hosts.ts'
import { startProvider, type TestProvider, whileClocksDiffer } from '../servers/provider.ts'
import { type Mistake, mountUsual, type Reading, readAfter } from './stand.ts'

/** A typical mistake, by the name that it has in the table of the documentation. */
export interface NamedMistake {
  readonly name: string
  readonly make: (provider: TestProvider) => Mistake | Promise<Mistake>
  /** Reads what happens in another way than by one visit. */
  readonly read?: (provider: TestProvider, mistake: Mistake, host: Host) => Promise<Reading>
}

const oidcOf = (req: Request): OidcContext => (req as AppRequest).oidc

/** Reads what happens at a provider that knows no URI of the application. */
function atProviderThatRefuses(
  check: 'redirectUriAllowed' | 'postLogoutRedirectUriAllowed',
): NonNullable<NamedMistake['read']> {
  return async (_provider, mistake, host) => {
    const strict = await startProvider()
    Object.assign(strict.provider.Client.prototype, { [check]: () => false })
    try {
      return await readAfter(strict, mistake, host)
    } finally {
      await strict.stop()
    }
  }
}

const WRONG_SECRET = 'another-secret-of-40-characters-01234567'

/** The 20 most typical mistakes, some in two forms. */
export const MISTAKES: readonly NamedMistake[] = [
  {
    name: 'wrong order',
    make: () => ({
      mount: (app, { auth, sessions }) => {
        app.use(auth())
        app.use(sessions)
      },
    }),
  },
  {
    name: 'cookie-session',
    make: () => ({
      mount: (app, parts) => mountUsual(app, { ...parts, sessions: parts.cookieSessions }),
    }),
  },
  { name: 'wrong issuer: a slash too many', make: ({ issuer }) => ({ options: { issuer: `${issuer}/` } }) },
  { name: 'wrong issuer: another path', make: ({ issuer }) => ({ options: { issuer: `${issuer}/oauth2/default` } }) },
  { name: 'wrong client id', make: () => ({ options: { clientId: 'another-client' } }) },
  { name: 'wrong secret', make: () => ({ options: { clientSecret: WRONG_SECRET } }) },
  {
    name: 'unregistered redirect URI',
    make: () => ({}),
    read: atProviderThatRefuses('redirectUriAllowed'),
  },
  {
    name: 'unregistered post-logout redirect URI',
    make: () => ({
      path: '/leave',
      mount: (app, parts) => {
        mountUsual(app, parts)
        app.route(
          '/leave',
          requireAuth(),
          answerBy(({ oidc }) => oidc.logout()),
        )
      },
    }),
    read: atProviderThatRefuses('postLogoutRedirectUriAllowed'),
  },
  {
    name: 'http baseUrl',
    make: () => ({
      options: { baseUrl: 'http://app.example.com', dangerouslyAllowInsecureRequests: undefined },
    }),
  },
  { name: 'trust proxy', make: () => ({ session: { cookie: { secure: true } } }) },
  { name: 'wrong scope name', make: () => ({ options: { scope: 'openid profile emails' } }) },
  {
    name: 'wrong scope name in a guard',
    make: () => ({
      path: '/reports',
      mount: (app, parts) => {
        mountUsual(app, parts)
        app.route('/reports', requireScope('report:read'), (_req, res) => res.end('reports'))
        app.route('/start', requireAuth(), (_req, res) => {
          res.writeHead(302, { Location: '/reports' }).end()
        })
      },
    }),
  },
  { name: 'provider down', make: () => ({ options: { issuer: 'http://127.0.0.1:9' } }) },
  {
    name: 'clock off',
    make: () => ({}),
    read: async (provider, mistake, host) => {
      provider.clock = 600
      const reading = await whileClocksDiffer(() => readAfter(provider, mistake, host))
      provider.clock = 0
      return reading
    },
  },
  { name: 'wrong algorithm', make: () => ({ options: { idTokenSignedResponseAlg: 'ES256' } }) },
  { name: 'short secret', make: () => ({ options: { secret: 'keyboard cat' } }) },
  {
    name: 'mount mismatch',
    make: () => ({
      mount: (app, { sessions, auth }) => {
        app.use(sessions)
        app.use(auth(), '/auth')
      },
      path: '/auth/login',
    }),
  },
  { name: 'no errorPage', make: () => ({ options: { clientSecret: WRONG_SECRET }, errorPage: undefined }) },
  {
    name: 'missing await',
    make: () => ({
      path: '/orders',
      mount: (app, parts) => {
        mountUsual(app, parts)
        app.route('/orders', requireAuth(), (req, res) => res.end(`Bearer ${oidcOf(req).accessToken()}`))
      },
    }),
  },
  {
    name: 'missing await of logout()',
    make: () => {
      let leaving = Promise.resolve()
      return {
        path: '/leave',
        until: () => leaving,
        mount: (app, parts) => {
          mountUsual(app, parts)
          app.route('/leave', requireAuth(), (req, res) => {
            // Without the catch, Node prints the same and ends the process.
            leaving = oidcOf(req)
              .logout()
              .catch((error: unknown) => console.error(error))
            res.end('bye')
          })
        },
      }
    },
  },
  {
    name: 'use before mount: a guard',
    make: () => ({
      mount: (app, parts) => {
        app.route('/profile', requireAuth(), (_req, res) => res.end('profile'))
        mountUsual(app, parts)
      },
    }),
  },
  {
    name: 'use before mount: req.oidc',
    make: () => ({
      mount: (app, parts) => {
        app.route('/profile', (req, res) => res.end(oidcOf(req).claims?.sub))
        mountUsual(app, parts)
      },
    }),
  },
  { name: 'typo', make: () => ({ options: { clientSecert: 'x', loginLifetme: 60 } }) },
  {
    name: "peers' option names",
    make: ({ issuer, clientId }) => ({
      options: {
        ...{ issuer: undefined, clientId: undefined, baseUrl: undefined },
        ...{ issuerBaseURL: issuer, clientID: clientId, baseURL: 'http://127.0.0.1:3000' },
        ...{ authRequired: false, idpLogout: true, auth0Logout: true, appBaseUrl: 'x', callbackURL: 'x' },
        routes: { postLogoutRedirect: '/bye' },
        ...{ session: { rolling: true }, redirect_uri: 'x', loginRedirectUri: 'x' },
        ...{ authorizationURL: 'x', tokenURL: 'x', realm: 'x', 'auth-server-url': 'x', trustHost: true },
      },
    }),
  },
  {
    name: 'requireAuth without parentheses',
    make: () => ({
      mount: (app, parts) => {
        mountUsual(app, parts)
        // The mistake: TypeScript accepts it, because the types of the frameworks do.
        app.route('/profile', requireAuth as never, (_req, res) => res.end('profile'))
      },
    }),
  },
  {
    name: 'oidc without parentheses',
    make: () => ({ mount: (app, parts) => mountUsual(app, { ...parts, auth: () => oidc as never }) }),
  },
]

/** Starts sections of the text with all readings. */
const SECTION = '## '

/** What a developer reads after a mistake, as text that is the same in every run. */
export function textOf({ console, page, url, status }: Reading, { issuer }: TestProvider): string {
  const isOurs = url.startsWith('http://127.0.0.1:')
  const text = page
    .replace(/<style>.*?<\/style>/gs, '')
    // The lines of a stack, on the page of Express.
    .replace(/<br> &nbsp; &nbsp;at [^<]*/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(\w+|#39);/g, (_all, name: string) => ENTITIES[name] ?? '?')
    .replace(/ *\n\s*/g, '\n')
    .replace(/ {2,}/g, ' ')
    .trim()
  const where = status === 0 ? 'The application did not start.' : `Status ${status} at ${new URL(url).pathname}`
  const ours = status === 200 ? '(the page that was asked for)' : text
  const shown =
    isOurs || status === 0 ? ours : `${/"error_description":"([^"]*)"/.exec(text)?.[1]} (a page of the provider)`
  return ['Console:', console.trim() || '(nothing)', `Browser: ${where}`, shown]
    .join('\n\n')
    .replaceAll(issuer, 'http://localhost:PORT')
    .replace(/(127\.0\.0\.1|localhost):\d{4,}/g, '$1:PORT')
    .replace(/\S*docs\/errors\.md:\d+/g, 'docs/errors.md:LINE')
    .replace(/\n {4}at .*/g, '')
    .replace(/\b(?:59\d|60[01]) seconds/g, '600 seconds')
    .replace(/ +$/gm, '')
    .trim()
}

const ENTITIES: Readonly<Record<string, string>> = { quot: '"', '#39': "'", lt: '<', gt: '>', amp: '&', nbsp: ' ' }

/** All readings in one text, and back. */
export function joinReadings(readings: ReadonlyMap<string, string>): string {
  return [...readings].map(([name, text]) => `${SECTION}${name}\n\n${text}\n`).join('\n')
}

export function splitReadings(text: string): ReadonlyMap<string, string> {
  const sections = text.split(/^## /m).slice(1)
  return new Map(
    sections.map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n')).trim()]),
  )
}

/** The name of the section for this mistake on this framework. Express 5 has the plain name. */
export function readingName({ name }: NamedMistake, host: Host): string {
  return host === 'express5' ? name : `${name} (${host})`
}

/** What a developer reads after this mistake. */
export async function readMistake(
  provider: TestProvider,
  { make, read = readAfter }: NamedMistake,
  host: Host,
): Promise<Reading> {
  return read(provider, await make(provider), host)
}
