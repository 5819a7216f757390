import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { appPath, safeReturnTo } from '../../lib/http/return-to.ts'
import { decodePath, isIssuer, isPlainPath, parseHttpUrl, parseLocalPath } from '../../lib/options/urls.ts'
import { anyText, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, stopped } from '../support/properties/outcome.ts'

const ORIGIN = 'https://app.example'
const routes = { login: '/login', callback: '/callback', logout: '/logout' }
const APPS = ['', '/portal'].map((basePath) => ({ origin: ORIGIN, basePath, routes, providerChooser: '/choose' }))

/** How long a path may be that goes into a cookie. */
const LONGEST = 1024

/** Text of the pieces that lead parsers, proxies and browsers to different places. */
const anyPath: Arbitrary<string> = textOf(
  ...['/', '/', '//', '\\', '.', '..', '/portal', '/portal/', '/login', '/LOGOUT', '/choose', 'evil.example', '@', ':'],
  ...['%2f', '%5c', '%2e', '%25', '%252f', '%00', '%0a', '%c3%a9', '%ff', '%', '?', '#', '&', '=', 'https:', 'x', ' '],
  ...['\t', '\n', '\0', '\u00a0', '\u2028', '\uff0f', '\u2025', '\u2044', '\u00e9', '\ud800', '\u212a', "'", '"', '<'],
)

const anyReturnTo: Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: anyPath.map((path) => `/${path}`) },
  { weight: 3, arbitrary: anyPath.map((path) => `/portal/${path}`) },
  { weight: 2, arbitrary: anyPath },
  { weight: 1, arbitrary: fc.anything() },
)

describe('a return path', () => {
  it('stays at our own origin and below basePath, or is refused', () => {
    fc.assert(
      fc.property(anyReturnTo, fc.constantFrom(...APPS), (value, app) => {
        const path = safeReturnTo(value, app)
        if (path === undefined) return
        const url = new URL(path, ORIGIN)
        assert.equal(url.origin, ORIGIN)
        assert.equal(url.pathname + url.search + url.hash, path)
        assert.match(path, /^\/(?![/\\])[!-~]*$/)
        holds(path.length <= LONGEST)
        holds(url.pathname === app.basePath || url.pathname.startsWith(`${app.basePath}/`))
        // A proxy may remove basePath, and a server may decode what is left: that must be a path of ours too.
        const rest = decodeURIComponent(url.pathname.slice(app.basePath.length) || '/')
        assert.equal(new URL(rest, ORIGIN).origin, ORIGIN)
        // Such a proxy stands in front of a mount path of the same name, or not.
        const prefix = app.basePath === '' ? '' : `(${app.basePath}){0,2}`
        const route = new RegExp(`^${prefix}/(login|callback|logout|choose)/*$`, 'i')
        assert.doesNotMatch(decodeURIComponent(url.pathname), route)
      }),
      { numRuns: 3000 },
    )
  })

  it('that was checked once passes the check again, unchanged', () => {
    fc.assert(
      fc.property(anyReturnTo, fc.constantFrom(...APPS), (value, app) => {
        const path = safeReturnTo(value, app)
        if (path !== undefined) assert.equal(safeReturnTo(path, app), path)
      }),
      { numRuns: 2000 },
    )
  })

  it('is kept as it is where it is plain', () => {
    const segment = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_~'), minLength: 1, maxLength: 8 })
    const query = fc.string({ unit: fc.constantFrom(...'abc=&%/?:@'), maxLength: 20 })
    fc.assert(
      fc.property(fc.array(segment, { minLength: 2, maxLength: 5 }), query, (segments, search) => {
        const path = `/${segments.join('/')}?q${search}#here`
        assert.equal(safeReturnTo(path, { origin: ORIGIN, basePath: '', routes }), path)
      }),
    )
  })

  it('of a request is below basePath, whether a proxy has removed basePath or not', () => {
    fc.assert(
      fc.property(anyPath, (rest) => {
        const url = `/portal/${rest}`
        assert.equal(appPath(url, { basePath: '/portal' }), url)
        assert.equal(appPath(`/x${rest}`, { basePath: '/portal' }), `/portal/x${rest}`)
      }),
    )
  })
})

describe('paths and URLs from outside', () => {
  it('never make a parser throw', () => {
    fc.assert(
      fc.property(fc.oneof(anyPath, anyText, fc.anything()), (value) => {
        const [local, http] = [parseLocalPath(value, ORIGIN), parseHttpUrl(value)]
        if (local !== undefined) assert.equal(local.origin, ORIGIN)
        if (http !== undefined) holds(/^https?:$/.test(http.protocol) && http.username + http.password === '')
        if (isIssuer(value))
          assert.equal(new URL(String(value)).href.replace(/\/$/, ''), String(value).replace(/\/$/, ''))
      }),
      { numRuns: 1000 },
    )
  })

  it('are decoded to the end or not at all', () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const decoded = decodePath(path)
        if (decoded === undefined) return
        holds(decoded.length <= path.length)
        // A percent sign that is left stands for itself.
        assert.doesNotMatch(decoded, /%[\da-f]{2}/i)
      }),
      { numRuns: 1000 },
    )
  })

  it('of any length are read in a bounded time', () => {
    const longest = repeated(LONGEST - 1, '/', '%2f', '%25', '..', 'a', '@', '?', ' ', '\u00e9', '%c3%a9', '-', '%252e')
    fc.assert(
      fc.property(longest, (text) => {
        stopped(() => APPS.map((app) => safeReturnTo(`/${text}`, app)))
        stopped(() => [
          isPlainPath(`/${text}`),
          parseHttpUrl(`https://${text}`),
          isIssuer(`https://op.example/${text}`),
        ])
      }),
      { numRuns: 50 },
    )
    // Longer than that is refused before anything is done with it; option values have no bound, and need none.
    fc.assert(
      fc.property(repeated(100_000, '/', '%2f', '%25', '/a', 'a', '@', '-', '%c3%a9'), (text) => {
        assert.equal(safeReturnTo(`/${text}`, { origin: ORIGIN, basePath: '', routes }), undefined)
        stopped(() => [isPlainPath(`/${text}`), parseHttpUrl(`https://${text}`)])
      }),
      { numRuns: 20 },
    )
  })
})
