import { oidc, requireAuth, requireScope } from '../../../lib/index.ts'
import { startProvider, type TestProvider, whileClocksDiffer } from '../servers/provider.ts'
import { type Mistake, type Reading, readAfter } from './stand.ts'

/** A typical mistake, by the name that it has in the table of the documentation. */
export interface NamedMistake {
  readonly name: string
  readonly make: (provider: TestProvider) => Mistake | Promise<Mistake>
  /** Reads what happens in another way than by one visit. */
  readonly read?: (provider: TestProvider, mistake: Mistake) => Promise<Reading>
}

const WRONG_SECRET = 'another-secret-of-40-characters-01234567'

/** The 20 most typical mistakes, some in two forms. */
export const MISTAKES: readonly NamedMistake[] = [
  {
    name: 'wrong order',
    make: () => ({ mount: (app, { auth, sessions }) => void app.use(auth(), sessions) }),
  },
  {
    name: 'cookie-session',
    make: () => ({ mount: (app, { auth, cookieSessions }) => void app.use(cookieSessions, auth()) }),
  },
  { name: 'wrong issuer: a slash too many', make: ({ issuer }) => ({ options: { issuer: `${issuer}/` } }) },
  { name: 'wrong issuer: another path', make: ({ issuer }) => ({ options: { issuer: `${issuer}/oauth2/default` } }) },
  { name: 'wrong client id', make: () => ({ options: { clientId: 'another-client' } }) },
  { name: 'wrong secret', make: () => ({ options: { clientSecret: WRONG_SECRET } }) },
  {
    name: 'unregistered redirect URI',
    make: () => ({}),
    read: async (_provider, mistake) => {
      const strict = await startProvider()
      const { prototype } = strict.provider.Client
      Object.assign(prototype, { redirectUriAllowed: () => false })
      try {
        return await readAfter(strict, mistake)
      } finally {
        await strict.stop()
      }
    },
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
      mount: (app, { sessions, auth }) => {
        app.use(sessions, auth())
        app.get('/reports', requireScope('report:read'), (_req, res) => void res.send('reports'))
        app.get('/start', requireAuth(), (_req, res) => void res.redirect('/reports'))
      },
    }),
  },
  { name: 'provider down', make: () => ({ options: { issuer: 'http://127.0.0.1:9' } }) },
  {
    name: 'clock off',
    make: () => ({}),
    read: async (provider, mistake) => {
      provider.clock = 600
      const reading = await whileClocksDiffer(() => readAfter(provider, mistake))
      provider.clock = 0
      return reading
    },
  },
  { name: 'wrong algorithm', make: () => ({ options: { idTokenSignedResponseAlg: 'ES256' } }) },
  { name: 'short secret', make: () => ({ options: { secret: 'keyboard cat' } }) },
  {
    name: 'mount mismatch',
    make: () => ({
      mount: (app, { sessions, auth }) => void app.use(sessions).use('/auth', auth()),
      path: '/auth/login',
    }),
  },
  { name: 'no errorPage', make: () => ({ options: { clientSecret: WRONG_SECRET }, errorPage: undefined }) },
  {
    name: 'missing await',
    make: () => ({
      path: '/orders',
      mount: (app, { sessions, auth }) => {
        app.use(sessions, auth())
        app.get('/orders', requireAuth(), (req, res) => void res.send(`Bearer ${req.oidc.accessToken()}`))
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
        mount: (app, { sessions, auth }) => {
          app.use(sessions, auth())
          app.get('/leave', requireAuth(), (req, res) => {
            // Without the catch, Node prints the same and ends the process.
            leaving = req.oidc.logout().catch((error: unknown) => console.error(error))
            res.send('bye')
          })
        },
      }
    },
  },
  {
    name: 'use before mount: a guard',
    make: () => ({
      mount: (app, { sessions, auth }) => {
        app.get('/profile', requireAuth(), (_req, res) => void res.send('profile'))
        app.use(sessions, auth())
      },
    }),
  },
  {
    name: 'use before mount: req.oidc',
    make: () => ({
      mount: (app, { sessions, auth }) => {
        app.get('/profile', (req, res) => void res.send(req.oidc.claims?.sub))
        app.use(sessions, auth())
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
      mount: (app, { sessions, auth }) => {
        app.use(sessions, auth())
        // The mistake: TypeScript accepts it, because the types of the frameworks do.
        app.get('/profile', requireAuth as never, (_req, res) => void res.send('profile'))
      },
    }),
  },
  {
    name: 'oidc without parentheses',
    make: () => ({ mount: (app, { sessions }) => void app.use(sessions, oidc as never) }),
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

/** What a developer reads after this mistake. */
export async function readMistake(provider: TestProvider, { make, read = readAfter }: NamedMistake): Promise<Reading> {
  return read(provider, await make(provider))
}
