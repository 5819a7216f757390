// Prepares a release: `node --import tsx build/release.ts FOLDER NOTES`, with the variables of GitHub Actions. The workflow
// `release` runs it in the checkout of a tag, before `npm publish`.
//
// - Compares the tag with the version of package.json, and demands a dated section of CHANGELOG.md. It is written to NOTES.
// - Adds the addresses of the repository to package.json. They are those of the repository in which the workflow runs, so that a
//   fork publishes its own. The npm registry accepts a provenance statement only if `repository` is where it was made.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [, , folder = '.', notes = 'release-notes.md'] = process.argv
const manifestFile = join(folder, 'package.json')
const manifest = JSON.parse(readFileSync(manifestFile, 'utf8'))
const changelog = readFileSync(join(folder, 'CHANGELOG.md'), 'utf8')

checkTag(variable('GITHUB_REF_NAME'), manifest.version)
const section = sectionOf(changelog, manifest.version)
const address = `${variable('GITHUB_SERVER_URL')}/${variable('GITHUB_REPOSITORY')}`

writeFileSync(notes, section)
writeFileSync(manifestFile, `${JSON.stringify({ ...manifest, ...addresses(address) }, null, 2)}\n`)

function variable(name: string): string {
  const value = process.env[name]
  if (!value)
    throw new Error(`The environment has no ${name}. GitHub Actions sets it; see .github/workflows/release.yml.`)
  return value
}

function checkTag(tag: string, version: string): void {
  if (tag === `v${version}`) return
  throw new Error(
    `The tag is ${tag}, but package.json has the version ${version}. Tag the commit of that version as v${version}.`,
  )
}

/** What the changelog says of a version, without its heading. */
function sectionOf(text: string, version: string): string {
  const section = text.split(/^## /m).find((part) => part.startsWith(`[${version}]`))
  const [heading = '', ...lines] = section?.split('\n') ?? []
  if (/ - \d{4}-\d\d-\d\d$/.test(heading)) return `${lines.join('\n').trim()}\n`
  throw new Error(`CHANGELOG.md needs the heading "## [${version}] - YYYY-MM-DD", with the day of the release.`)
}

function addresses(repository: string): object {
  return {
    repository: { type: 'git', url: `git+${repository}.git` },
    homepage: `${repository}#readme`,
    bugs: { url: `${repository}/issues` },
  }
}
