import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '../app/project.ts'
import { listen } from '../servers/http-server.ts'
import { filesBelow } from './code-blocks.ts'

const CACHE = join(ROOT, 'node_modules/.cache/docs-site')
const PATIENCE = 600_000

/** The site that `npm run docs:build` makes. */
export interface Site {
  readonly folder: string
  /** Its pages, such as `docs/options.html`. */
  readonly pages: readonly string[]
  /** The text of a file. */
  read(file: string): string
  has(file: string): boolean
}

/** Builds the site, unless it was built from the same files before: that takes as long as all other tests of a folder. */
export async function buildSite(): Promise<Site> {
  const folder = join(CACHE, hashOf(inputs()))
  if (!existsSync(folder)) await buildInto(folder)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const known = new Set(files)
  return {
    folder,
    pages: files.filter((file) => file.endsWith('.html') && file !== '404.html').sort(),
    read: (file) => readFileSync(join(folder, file), 'utf8'),
    has: (file) => known.has(file),
  }
}

async function buildInto(folder: string): Promise<void> {
  rmSync(CACHE, { recursive: true, force: true })
  mkdirSync(CACHE, { recursive: true })
  const unfinished = join(CACHE, 'unfinished')
  const program = join(ROOT, 'node_modules/vitepress/bin/vitepress.js')
  const env = { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '', NO_COLOR: '1' }
  await promisify(execFile)(process.execPath, [program, 'build', 'site', '--outDir', unfinished], {
    cwd: ROOT,
    env,
    timeout: PATIENCE,
  })
  renameSync(unfinished, folder)
}

function inputs(): readonly string[] {
  const pages = ['.', 'docs', 'example-app', 'bench'].flatMap((folder) =>
    folder === 'docs'
      ? filesBelow('docs', '')
      : readdirSync(join(ROOT, folder))
          .filter((name) => name.endsWith('.md'))
          .map((name) => join(folder, name)),
  )
  const settings = ['.ts', '.css'].flatMap((ending) => filesBelow('site/.vitepress', ending))
  return [...pages, ...settings, 'package-lock.json'].filter((file) => extname(file) !== '')
}

function hashOf(files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of [...files].sort())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 16)
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** Serves the built site. */
export async function serveSite(site: Site): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer((req, res) => {
    const path = decodeURIComponent(new URL(req.url ?? '/', 'http://localhost').pathname).slice(1)
    const file = path === '' || path.endsWith('/') ? `${path}index.html` : path
    res.statusCode = site.has(file) ? 200 : 404
    res.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream')
    res.end(site.has(file) ? readFileSync(join(site.folder, file)) : 'Not found')
  })
  const { port, stop } = await listen(server)
  return { url: `http://127.0.0.1:${port}`, stop }
}
