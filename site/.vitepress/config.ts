import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'
import { createSidebar, PAGES } from './sidebar.ts'
import { slugify } from './slug.ts'

/** The mark of the package, inline: no request for an icon, on any host. */
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#3451b2"/><path d="M5 8.5l2 2 4-5" stroke="#fff" stroke-width="2" fill="none"/></svg>',
)}`

/** The link of the site for one of the repository: a README is the page of its folder, and the license has no page. */
function pageOf(href: string): string {
  if (/(^|\/)LICENSE$/.test(href)) return 'https://spdx.org/licenses/MIT.html'
  return href.replace(/(^|\/)README\.md/, '$1index.md')
}

/**
 * The site is built from the files that people read in the repository, at the same relative paths, so a link is right in
 * both places.
 */
export default defineConfig({
  title: 'express-oidc',
  description: 'OpenID Connect login for Express and Connect',
  lang: 'en',
  srcDir: '..',
  srcExclude: ['**/{node_modules,test,lib,site,coverage,dist,.*}/**', 'bench/peers/**'],
  rewrites: (path) => path.replace(/(^|\/)README\.md$/, '$1index.md'),
  // The app that the reader has started on their own machine.
  ignoreDeadLinks: 'localhostLinks',
  // The sidebar links to all pages: fetching what the reader may open costs more than it saves.
  router: { prefetchLinks: false },
  head: [['link', { rel: 'icon', href: ICON }]],
  markdown: {
    anchor: { slugify },
    // The default themes are fainter than WCAG 1.4.3 demands.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-default' },
    config: (md) => {
      // An indented block is a command: it scrolls and is copied as a fenced one.
      md.core.ruler.push('commands', ({ tokens }) => {
        for (const token of tokens.filter(({ type }) => type === 'code_block'))
          Object.assign(token, { type: 'fence', info: 'sh' })
      })
      const open = md.renderer.rules['link_open']
      md.renderer.rules['link_open'] = (tokens, index, options, env, self) => {
        const token = tokens[index]
        const href = token?.attrGet('href')
        if (token && href && !/^\w+:/.test(href)) token.attrSet('href', pageOf(href))
        return open ? open(tokens, index, options, env, self) : self.renderToken(tokens, index, options)
      }
    },
  },
  // Files beside the pages that a page links to, such as a dashboard to import.
  buildEnd: ({ srcDir, outDir }) => {
    for (const file of readdirSync(join(srcDir, 'docs')).filter((name) => name.endsWith('.json')))
      copyFileSync(join(srcDir, 'docs', file), join(outDir, 'docs', file))
  },
  vite: { publicDir: false, build: { chunkSizeWarningLimit: 5_000 } },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: PAGES.map(({ text, first }) => ({ text, link: first })),
    sidebar: createSidebar(),
    docFooter: { prev: 'Previous page', next: 'Next page' },
  },
})
