import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { RequestHandler } from 'express'

/**
 * Serves `express-oidc/browser` to the pages. The example runs from the sources of the library, so it strips the types first.
 * Your app serves the installed file as it is: `express.static(fileURLToPath(import.meta.resolve('express-oidc/browser')))`.
 */
export function serveBrowserModule(): RequestHandler {
  let code: Promise<string> | undefined
  return async function sendBrowserModule(_req, res) {
    code ??= readModule()
    res
      .set('Cache-Control', 'no-cache')
      .type('text/javascript')
      .send(await code)
  }
}

async function readModule(): Promise<string> {
  const extension = extname(import.meta.url)
  const source = await readFile(new URL(`../lib/browser${extension}`, import.meta.url), 'utf8')
  if (extension !== '.ts') return source
  const { transform } = await import('esbuild')
  return (await transform(source, { loader: 'ts', format: 'esm', target: 'es2022' })).code
}
