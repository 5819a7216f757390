import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type express from 'express'
import { ROOT } from '../app/project.ts'
import { importWith } from './code-block-runner.ts'
import { readText } from './code-blocks.ts'
import type { Peer } from './peer-options.ts'

const INSTALLED = join(ROOT, 'bench/peers/node_modules')

/** The path of a file of an installed package. */
export function installedFile(file: string): string {
  return join(INSTALLED, file)
}

/** Why a test that needs these packages cannot run, or `false`. */
export function skipWithoutPeers(...files: readonly string[]): string | false {
  return files.every((file) => existsSync(installedFile(file))) ? false : 'needs: npm ci --prefix bench/peers'
}

/**
 * The app does not listen, the issuer is http, a slow machine breaks no time limit, and @auth/express needs the paths of
 * Express 4.
 */
const CHANGES: readonly (readonly [RegExp, string])[] = [
  [/^app\.listen\(3000\)$/m, 'export { app }'],
  [/^oidc\.on\('ready', .*$/m, "await new Promise((resolve) => oidc.on('ready', resolve))\nexport { app }"],
  [/^( +)client_id:/m, '$1testing: { disableHttpsCheck: true },\n$1timeout: 100_000,\n$1client_id:'],
  [/^( +)issuerBaseURL:/m, '$1httpTimeout: 100_000,\n$1issuerBaseURL:'],
  [/^(import \{ ExpressAuth[\s\S]*from )'express'$/m, "$1'express4'"],
]

/** Runs the program behind the heading "Before", where it finds the other middleware, and returns its app. */
export async function loadAppBefore({ page }: Peer, env: Readonly<Record<string, string>>): Promise<express.Express> {
  const [, section = ''] = readText(`docs/migration/${page}.md`).split('\n## Before\n')
  const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(section) ?? []
  mkdirSync(join(INSTALLED, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(INSTALLED, '.cache/before-'))
  try {
    const file = join(folder, 'app.mjs')
    writeFileSync(
      file,
      CHANGES.reduce((text, [from, to]) => text.replace(from, to), code),
    )
    return (await importWith(env, pathToFileURL(file).href)).app
  } finally {
    rmSync(folder, { recursive: true })
  }
}
