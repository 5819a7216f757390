import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { appPath, safeReturnTo } from '../../lib/http/return-to.ts'

const routes = { login: '/login', callback: '/callback', logout: '/logout' }
const root = { origin: 'https://app.example', basePath: '', routes }
const portal = { origin: 'https://app.example', basePath: '/portal', routes }

const percent = (text: string, times: number): string =>
  times === 0 ? text : percent(text.replaceAll('%', '%25'), times - 1)

// Each group is a class of faults that other libraries have had.
const hostile: Readonly<Record<string, readonly unknown[]>> = {
  'a scheme-relative reference': [
    '//evil.example',
    '//evil.example/',
    '//evil.example/%2f..',
    '///evil.example',
    '////evil.example',
    '/////evil.example/x',
    '//evil.example:443/login',
    '//app.example',
    '//app.example.evil.example',
    '//localhost',
    '//2130706433',
    '//[::1]/',
    '//evil%E3%80%82example',
    '//',
    '///',
    '//?x',
    '//#x',
    '//evil.example//',
    '//evil.example/../',
  ],
  'backslashes and mixed slashes': [
    '/\\evil.example',
    '/\\/evil.example',
    '\\/evil.example',
    '\\\\evil.example',
    '/\\\\evil.example',
    '//\\evil.example',
    '/\\@evil.example',
    '/x\\..\\..\\evil.example',
    '/x/\\evil.example',
    '\\evil.example',
    '/?next=\\evil.example',
    '/#\\evil.example',
    '/.\\evil.example',
  ],
  'encoded slashes and backslashes': [
    '/%2fevil.example',
    '/%2Fevil.example',
    '/%2f/evil.example',
    '/%2f%2fevil.example',
    '%2f%2fevil.example',
    '%2Fevil.example',
    '/%5cevil.example',
    '/%5Cevil.example',
    '/%5c/evil.example',
    '/%5c%5cevil.example',
    '/%2f%5cevil.example',
    '/x%5c..%5cevil.example',
    '/x/%5c/evil.example',
  ],
  'double and deeper encoding': [
    '/%252fevil.example',
    '/%252Fevil.example',
    '/%255cevil.example',
    '/%25252fevil.example',
    '/%2509/evil.example',
    '/%250d%250aLocation:%2520https://evil.example',
    '/%2525252525252fevil.example',
    '/%%32%66evil.example',
    '/%25%32%66evil.example',
    '/%252e%252e/evil.example',
    percent('/%2fevil.example', 20),
    percent('/%20x', 30),
  ],
  'tabs, newlines and other control characters': [
    '/\t/evil.example',
    '/\n/evil.example',
    '/\r/evil.example',
    '\t//evil.example',
    '/\t\\evil.example',
    '/\u0000/evil.example',
    '/\u0000',
    '/x\u0000.html',
    '/\u0008/evil.example',
    '/\u001f/evil.example',
    '/\u007f/evil.example',
    '/\u0085/evil.example',
    '/\u009f/evil.example',
    '/%09/evil.example',
    '/%09//evil.example',
    '/%0a/evil.example',
    '/%0d/evil.example',
    '/%00/evil.example',
    '/x%00',
    '/%0b/evil.example',
    '/%0c/evil.example',
    '/%7f',
    '/%c2%85/evil.example',
    '/x\ty',
  ],
  'header injection': [
    '/\r\nLocation: https://evil.example',
    '/x\r\nSet-Cookie: a=b',
    '/x\nSet-Cookie:a=b',
    '/x%0d%0aLocation:%20https://evil.example',
    '/x%0aSet-Cookie:a=b',
    '/%0d%0a%0d%0a<script>alert(1)</script>',
    '/x%E5%98%8A%E5%98%8DSet-Cookie:a=b\r',
    '/?x=1\r\nSet-Cookie:a=b',
    '/#x\r\nSet-Cookie:a=b',
    '/x%250aSet-Cookie:a=b',
  ],
  'white space': [
    ' //evil.example',
    ' /',
    '/ ',
    '/ /evil.example',
    '/x y',
    '/%20/evil.example',
    '/%20//evil.example',
    '/%20',
    '/x%20/y',
    '/x/%20y',
    '/%c2%a0/evil.example',
    '/\u00a0/evil.example',
    '/\u2028/evil.example',
    '/%e2%80%a8/evil.example',
    '/\u3000/evil.example',
    '/\ufeff/evil.example',
    '/%ef%bb%bf/evil.example',
    '/?x=a b',
  ],
  'slashes, dots and letters of other alphabets': [
    '/\uff0fevil.example',
    '/\uff0f\uff0fevil.example',
    '\uff0f\uff0fevil.example',
    '/%ef%bc%8fevil.example',
    '/%EF%BC%8F/evil.example',
    '/\uff3cevil.example',
    '/%ef%bc%bcevil.example',
    '/\ufe68evil.example',
    '/\u2044evil.example',
    '/\u2215evil.example',
    '/%e2%88%95evil.example',
    '/\u29f8evil.example',
    '/\u2571evil.example',
    '/\u29f5evil.example',
    '/\u2216evil.example',
    '/\u2025/\uff0fevil.example',
    '/x/\u2025//evil.example',
    '/\uff0e\uff0e/evil.example',
    '/x/\u2024\u2024//evil.example',
    '/%25ef%25bc%258fevil.example',
  ],
  'dot segments': [
    '/.//evil.example',
    '/..//evil.example',
    '/x/..//evil.example',
    '/x/y/../..//evil.example',
    '/./\\evil.example',
    '/././/evil.example',
    '/%2e//evil.example',
    '/%2e%2e//evil.example',
    '/.%2e//evil.example',
    '/%2E./evil.example',
    '/x/%2e%2e//evil.example',
    '/x/%252e%252e//evil.example',
    '/x%2f..%2f%2fevil.example',
    '/x%2f%2e%2e%2f%2fevil.example',
    '/x/..',
    '/..',
    '/.',
    '/../../etc/passwd',
    './/evil.example',
    '../x',
  ],
  schemes: [
    'https://evil.example',
    'https://app.example/x',
    'https:evil.example',
    'https:/evil.example',
    'https:///evil.example',
    'HTTPS://EVIL.EXAMPLE',
    'http://app.example',
    'ftp://evil.example',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\nscript:alert(1)',
    ' javascript:alert(1)',
    'javascript://app.example/%0aalert(1)',
    '//javascript:alert(1)',
    '/\njavascript:alert(1)',
    '/%0ajavascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'data:text/html;base64,PHNjcmlwdD4=',
    'vbscript:msgbox(1)',
    'blob:https://app.example/0',
    'file:///etc/passwd',
    'about:blank',
    'view-source:https://evil.example',
    'mailto:mallory@evil.example',
    'intent://evil.example#Intent;end',
  ],
  'user information': [
    '@evil.example',
    ':password@evil.example',
    '//me@evil.example',
    '//app.example@evil.example',
    '//app.example%40evil.example',
    '//app.example:443@evil.example/',
    '/\\me:pw@evil.example',
    'https://app.example@evil.example',
    'https://app.example%2f@evil.example',
    '.evil.example',
    '-evil.example',
  ],
  'malformed encoding': [
    '/%',
    '/x%',
    '/x%2',
    '/%zz',
    '/%g0evil',
    '/%u002fevil.example',
    '/%c0%afevil.example',
    '/%c1%9cevil.example',
    '/%e0%80%afevil.example',
    '/%ff',
    '/%80',
    '/%ed%a0%80',
    '/%f8%80%80%80%80',
    '/%25c0%25afevil.example',
  ],
  'what is too long': [
    `/${'a'.repeat(4096)}`,
    `/?${'x'.repeat(5000)}`,
    `/${'/'.repeat(2000)}`,
    `/${'\u00fc'.repeat(700)}`,
  ],
  'what is no string': [
    undefined,
    null,
    true,
    0,
    47,
    Number.NaN,
    47n,
    Symbol('/'),
    [],
    ['/x'],
    ['/x', '//evil.example'],
    ['//evil.example'],
    {},
    { toString: () => '/x' },
    { length: 2, startsWith: () => true },
    { __proto__: { toString: () => '/x' } },
    new String('/x'),
    new URL('https://app.example/x'),
    () => '/x',
    Buffer.from('/x'),
  ],
  'what is no path': [
    '',
    'x',
    '?x=1',
    '#x',
    '__proto__',
    'constructor',
    'null',
    'undefined',
    '*',
    'evil.example',
    ';/x',
    '&/x',
  ],
  'our own routes': [
    '/login',
    '/login/',
    '/login//',
    '/login?returnTo=/x',
    '/login#x',
    '/LOGIN',
    '/Login/',
    '/log%69n',
    '/%6c%6f%67%69%6e',
    '/%256cogin',
    '/log%49n',
    '/\uff4cogin',
    '/login%2f',
    '/callback',
    '/callback?code=x&state=y',
    '/CallBack/',
    '/logout',
    '/logout/?x',
    '/log%6Fut',
    '/LOGOUT%2F',
  ],
}

const hostileBelowPortal: readonly unknown[] = [
  '/',
  '/x',
  '/portalx',
  '/portalx/y',
  '/portal-2',
  '/portal.evil.example',
  '/portal@evil.example',
  '/portal%2fx',
  '/portal;x',
  '/PORTAL',
  '/Portal/x',
  '/%70ortal/x',
  '/other/portal',
  '/portal/../x',
  '/portal/..',
  '/portal/%2e%2e/x',
  '/portal/%252e%252e/x',
  '/portal//evil.example',
  '/portal///evil.example',
  '/portal/%2fevil.example',
  '/portal/%5cevil.example',
  '/portal/\uff0fevil.example',
  '//portal/x',
  '/login',
  '/logout',
  '/portal/login',
  '/portal/login/?x',
  '/portal/Logout',
  '/portal/callb%61ck',
  '/portal/log%256fut',
]

// [given, returned]; one string where it is returned as it is.
const good: readonly (string | readonly [string, string])[] = [
  '/',
  ['/?', '/'],
  '/profile',
  '/profile/',
  '/a/b/c.html',
  '/reports?year=2026&month=11',
  '/reports?year=2026#q3',
  '/#hash',
  '/app#/route/inside',
  '/?next=https%3A%2F%2Fother.example%2Fx',
  '/?next=https://other.example/x',
  '/?next=//other.example',
  '/search?q=a%20b+c',
  '/search?q=line%0Abreak%09tab',
  '/search?q=100%',
  '/search?q=%zz',
  '/search?q=a%5Cb',
  '/files/my%20report.pdf',
  // N-37: spaces of other scripts.
  '/%e6%96%87%e3%80%80%e6%9b%b8',
  '/a%e2%80%83b',
  '/x/%e3%80%80/y%c2%a0',
  '/files/100%25',
  '/files/a%2Fb',
  '/view/https%3A%2F%2Fother.example%2Fx',
  '/view/https://other.example/x',
  '/@ada',
  '/users/ada@app.example',
  '/a:b;c=d,e',
  "/it's(fine)!*~_-$&+=",
  '/javascript:alert(1)',
  '/caf%C3%A9',
  ['/caf\u00e9?stra\u00dfe=\u00fc#\u00e4', '/caf%C3%A9?stra%C3%9Fe=%C3%BC#%C3%A4'],
  ['/\u65e5\u672c\u8a9e', '/%E6%97%A5%E6%9C%AC%E8%AA%9E'],
  ['/\ud83d\ude80', '/%F0%9F%9A%80'],
  ['/?x="<y>"', '/?x=%22%3Cy%3E%22'],
  '/...',
  '/.well-known/x',
  '/a..b/c.',
  '/login-help',
  '/loginx',
  '/x/login',
  '/login/help',
  '/callbacks',
  `/${'a'.repeat(4095)}`,
  `/?state=x&code=y&nonce=z`,
]

const goodBelowPortal = [
  '/portal',
  '/portal/',
  '/portal?x=1',
  '/portal#x',
  '/portal/x',
  '/portal/portal',
  '/portal/a/login',
]

/** Checks what must hold for every result. */
function assertOurs(given: unknown, config: typeof root): void {
  const path = safeReturnTo(given, config)
  if (path === undefined) return
  const shown = JSON.stringify([given, path])
  assert.equal(new URL(path, config.origin).origin, config.origin, shown)
  assert.equal(new URL(config.origin + path).origin, config.origin, shown)
  assert.equal(new URL(decodeURI(path.replace(/[?#].*$/s, '')), config.origin).origin, config.origin, shown)
  assert.match(path, /^\/(?![/\\])[!-[\]-~]*$/, shown)
  assert.equal(safeReturnTo(path, config), path, `stays as it is: ${shown}`)
}

const show = (value: unknown): string => {
  const text =
    typeof value === 'string' ? JSON.stringify(value) : `${typeof value} ${Object.prototype.toString.call(value)}`
  return text.length > 70 ? `${text.slice(0, 70)} ...` : text
}

describe('a hostile return path', () => {
  for (const [name, payloads] of Object.entries(hostile)) {
    describe(`by ${name}`, () => {
      for (const payload of payloads) {
        it(`is refused: ${show(payload)}`, () => {
          assert.equal(safeReturnTo(payload, root), undefined)
          assert.equal(safeReturnTo(payload, portal), undefined)
        })
      }
    })
  }

  describe('outside of basePath', () => {
    for (const payload of hostileBelowPortal) {
      it(`is refused: ${show(payload)}`, () => assert.equal(safeReturnTo(payload, portal), undefined))
    }
  })

  it('is one of more than 150', () => {
    assert.ok(new Set(Object.values(hostile).flat()).size > 150)
  })
})

describe('a hostile return path below basePath', () => {
  const groups = Object.entries(hostile).filter(([name]) => name !== 'what is no path')
  for (const [name, payloads] of groups) {
    it(`is refused: ${name}`, () => {
      const paths = payloads.filter((payload) => typeof payload === 'string' && payload.startsWith('/'))
      for (const path of paths) assert.equal(safeReturnTo(`/portal${path}`, portal), undefined, `/portal${path}`)
    })
  }
})

describe('a good return path', () => {
  for (const entry of good) {
    const [given, returned] = typeof entry === 'string' ? [entry, entry] : entry
    it(`is returned: ${show(given)}`, () => {
      assert.equal(safeReturnTo(given, root), returned)
      assertOurs(given, root)
    })
  }

  for (const path of goodBelowPortal) {
    it(`is returned below basePath: ${path}`, () => assert.equal(safeReturnTo(path, portal), path))
  }

  it('may be a default route if the option routes replaces it', () => {
    const renamed = { ...root, routes: { login: '/in', callback: '/cb', logout: '/out' } }
    assert.equal(safeReturnTo('/login', renamed), '/login')
    assert.equal(safeReturnTo('/IN/', renamed), undefined)
  })

  it('N-59: is no route of ours, even if a mount path or a proxy removes basePath first', () => {
    const config = { ...portal, callbacks: ['/callback/okta'], providerChooser: '/choose' }
    for (const prefix of ['/portal', '/portal/portal', '/portal/PORTAL', '/portal/%70ortal']) {
      for (const route of ['/login', '/logout', '/LOGOUT/', '/%6cogout', '/callback', '/callback/okta', '/choose']) {
        assert.equal(safeReturnTo(prefix + route, config), undefined, prefix + route)
      }
    }
    assert.equal(safeReturnTo('/portal/portal/profile', config), '/portal/portal/profile')
  })

  it('is checked with the port of the origin', () => {
    const local = { ...root, origin: 'http://localhost:3000' }
    assert.equal(safeReturnTo('/x', local), '/x')
    assert.equal(safeReturnTo('//localhost:3000/x', local), undefined)
  })
})

describe('the result of safeReturnTo()', () => {
  const strings = Object.values(hostile).flat()

  it('is a path of our own origin for every payload above', () => {
    for (const payload of [...strings, ...hostileBelowPortal]) {
      for (const config of [root, portal]) {
        assertOurs(payload, config)
        if (typeof payload === 'string') assertOurs(`/portal${payload}`, config)
        if (typeof payload === 'string') assertOurs(`/x?y=${payload}`, config)
        if (typeof payload === 'string') assertOurs(`/x#${payload}`, config)
      }
    }
  })

  it('is a path of our own origin for thousands of combinations', () => {
    const pieces = [
      ...['/', '//', '\\', '%2f', '%5c', '%252f', '\uff0f', '.', '..', '%2e', '%09', '%20', '\t', '\u0000', '@', ':'],
      ...['?', '#', 'evil.example', 'x', 'portal', 'login', '%', '%25', '%c0%af', '\u2025'],
    ]
    let returned = 0
    for (const first of pieces) {
      for (const second of pieces) {
        for (const third of pieces) {
          const value = `/${first}${second}${third}evil.example`
          assertOurs(value, root)
          assertOurs(`/portal${value}`, portal)
          if (safeReturnTo(value, root) !== undefined) returned += 1
        }
      }
    }
    assert.ok(returned > 500, 'some combinations are valid paths')
  })
})

describe('the path of a request', () => {
  const cases = [
    ['/x?y=1', '', '/x?y=1'],
    ['/x?y=1', '/portal', '/portal/x?y=1'],
    ['/', '/portal', '/portal/'],
    ['/?x', '/portal', '/portal/?x'],
    ['/portal', '/portal', '/portal'],
    ['/portal?x=1', '/portal', '/portal?x=1'],
    ['/portal/x', '/portal', '/portal/x'],
    ['/portalx', '/portal', '/portal/portalx'],
    ['/x?next=/portal/', '/portal', '/portal/x?next=/portal/'],
  ] as const
  for (const [url, basePath, path] of cases) {
    it(`is ${path} for ${url} where basePath is '${basePath}'`, () => assert.equal(appPath(url, { basePath }), path))
  }

  it('is not checked, but safeReturnTo() refuses it if it leaves the app', () => {
    for (const url of ['//evil.example', 'https://evil.example/', '*', '/\\evil.example', '/portal//evil.example']) {
      for (const config of [root, portal]) {
        if (config === root && url.startsWith('/portal')) continue
        assert.equal(safeReturnTo(appPath(url, config), config), undefined)
      }
    }
  })
})
