import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, it } from 'node:test'
import { runBlocks } from '../support/docs/code-block-runner.ts'
import { codeBlocks, filesBelow, readText } from '../support/docs/code-blocks.ts'
import { DOCUMENTED_OPTIONS } from '../support/docs/documented-options.ts'

const INDEX = readText('docs/providers.md')
const PAGES = filesBelow('docs/providers', '.md').filter((file) => basename(file) !== 'other.md')
const SECTIONS = ['Register', 'Options', 'Groups and roles', 'Logout', 'Good to know']
const OPTIONS = new Set(DOCUMENTED_OPTIONS.map(({ name }) => name))

/** The rows of the table of all providers: the page that the first cell links to, and the options in the last cell. */
const ROWS = [...INDEX.matchAll(/^\| \[[^\]]+\]\(([\w/-]+\.md)\) \|.*\|(.*)\|$/gm)].map(
  ([, page = '', needs = '']) => ({
    file: `docs/${page}`,
    needs: [...needs.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  }),
)

function codeOf(file: string): string {
  return codeBlocks(file)
    .map(({ code }) => code)
    .join('\n')
}

describe('docs/providers.md', () => {
  it('has a row for each page', () => {
    const linked = ROWS.map(({ file }) => file).filter((file) => file.startsWith('docs/providers/'))
    assert.deepEqual(linked.sort(), filesBelow('docs/providers', '.md'))
  })

  it('names options that the page of the provider sets', () => {
    assert.ok(ROWS.flatMap(({ needs }) => needs).length > 15)
    for (const { file, needs } of ROWS) {
      for (const name of needs) {
        assert.ok(OPTIONS.has(name), name)
        assert.match(codeOf(file), new RegExp(`\\b${name}\\b`), file)
      }
    }
  })

  it('says which provider needs each option that gives up a check', () => {
    const [, section = ''] = INDEX.split('## Providers that do not follow the standard')
    const [, manual = ''] = readText('docs/options.md').split('## Providers that do not follow the standard')
    const documented = [...manual.matchAll(/^### `(\w+)`$/gm)].map(([, name = '']) => name)
    assert.ok(documented.length >= 8)
    for (const name of documented) assert.ok(section.includes(`\`${name}\``), name)
  })
})

describe('the pages of providers', () => {
  it('have the same sections in the same order', () => {
    for (const file of PAGES) {
      const headings = [...readText(file).matchAll(/^## (.*)$/gm)].map(([, title = '']) => title)
      assert.deepEqual(
        headings.filter((title) => SECTIONS.includes(title)),
        SECTIONS,
        file,
      )
    }
  })

  it('begin with the issuer, which is the one of the options', () => {
    for (const file of PAGES) {
      const [, , first = ''] = readText(file).split('\n')
      assert.match(first, /^Issuer: /, file)
      const issuers = [...codeOf(file).matchAll(/issuer(?::| =) '([^']+)'/g)].map(([, issuer = '']) => issuer)
      assert.ok(issuers.length > 0, file)
      // The path at the end says more than the host does.
      const [start = ''] = /^Issuer:.*?`(https:\/\/[^<`/]*)/.exec(first)?.slice(1) ?? []
      assert.ok(
        issuers.every((issuer) => issuer.startsWith(start)),
        `${file}: ${issuers}`,
      )
    }
  })

  it('are as complete for Okta, whose page is longer', () => {
    const text = readText('docs/okta.md')
    const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, title = '']) => title)
    const [which, ...sections] = ['Which authorization server', 'Register', 'Options', 'Groups', 'Logout']
    assert.deepEqual(
      headings.filter((title) => title === which || sections.includes(title)),
      [which, ...sections],
    )
    for (const value of ['https://app.example.com/callback', '`https://app.example.com`', '`https://example.okta.com`'])
      assert.ok(text.includes(value), value)
    assert.match(text, /https:\/\/example\.okta\.com\/oauth2\/default/)
  })

  it('say what is to be registered', () => {
    for (const file of PAGES) {
      const [, register = ''] = readText(file).split('\n## Register\n')
      const [section = ''] = register.split('\n## ')
      assert.ok(section.includes('https://app.example.com/callback'), file)
      assert.match(section, /https:\/\/app\.example\.com`|no post-logout redirect URI|post-logout-callback/, file)
      assert.match(section, /backchannel-logout|no back-channel logout/, file)
    }
  })

  it('have options that are accepted together', async () => {
    const blocks = ['docs/okta.md', ...filesBelow('docs/providers', '.md')]
      .flatMap(codeBlocks)
      .filter(({ code }) => /\boidc\(/.test(code))
    assert.ok(blocks.length >= PAGES.length)
    assert.deepEqual(await runBlocks(blocks), [])
  })
})
