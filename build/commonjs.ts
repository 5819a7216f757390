// Adds what CommonJS needs to a build: `node --import tsx build/commonjs.ts dist`. TypeScript accepts no `require()` of an
// ES module before 5.8, and never with `module: node16`.
//
// - Every declaration becomes a `.d.cts`. Modules of both kinds may import these, so there is one copy of each type.
// - Each entry point gets a `.cjs` that loads its ES module, and a `.d.ts` that describes the ES module.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [, , dist = 'dist'] = process.argv
const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  if (file.endsWith('.d.ts')) moveDeclaration(join(dist, file))
}
for (const path of Object.keys(exports)) {
  if (path !== './package.json') addEntryPoint(path === '.' ? 'index' : path.slice('./'.length))
}

function moveDeclaration(file: string): void {
  const moved = file.replace(/\.d\.ts$/, '.d.cts')
  // The compiler leaves relative imports as the sources have them: `from './errors.ts'`.
  const declaration = readFileSync(file, 'utf8').replace(/(from |import |import\()(['"])(\..+?)\.ts\2/g, '$1$2$3.cjs$2')
  writeFileSync(moved, declaration.replace(/(?<=sourceMappingURL=.*)\.d\.ts\.map$/m, '.d.cts.map'))
  const map = JSON.parse(readFileSync(`${file}.map`, 'utf8'))
  writeFileSync(`${moved}.map`, JSON.stringify({ ...map, file: basename(moved) }))
  for (const old of [file, `${file}.map`]) rmSync(old)
}

function addEntryPoint(name: string): void {
  writeFileSync(join(dist, `${name}.cjs`), `module.exports = require('./${name}.js')\n`)
  writeFileSync(join(dist, `${name}.d.ts`), `export * from './${name}.cjs'\n`)
}
