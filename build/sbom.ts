// Prints the bill of materials of the package, as CycloneDX: `node --import tsx build/sbom.ts`. It lists what a user of the
// package gets, in the versions of the lockfile. `npm sbom --omit dev` in this folder would leave out each package that one of
// our tools needs too, jose among them.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const temporary = mkdtempSync(join(tmpdir(), 'oidc-sbom-'))
// npm takes the name of the component from the folder.
const folder = join(temporary, 'express-oidc')

try {
  mkdirSync(folder)
  copyFileSync('package-lock.json', join(folder, 'package-lock.json'))
  const { devDependencies: _tools, ...manifest } = JSON.parse(readFileSync('package.json', 'utf8'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  npm('install', '--package-lock-only', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund')
  process.stdout.write(npm('sbom', '--package-lock-only', '--sbom-format', 'cyclonedx', '--sbom-type', 'library'))
} finally {
  rmSync(temporary, { recursive: true })
}

function npm(...args: readonly string[]): string {
  return execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}
