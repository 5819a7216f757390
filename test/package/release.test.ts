import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'

const CHANGELOG = `# Changelog

## [0.3.0] - 2026-12-01

### Added

- A thing.

## [0.2.0] - 2026-01-01

- Another thing.
`

const VARIABLES = {
  GITHUB_REF_NAME: 'v0.3.0',
  GITHUB_SERVER_URL: 'https://git.example.com',
  GITHUB_REPOSITORY: 'a-fork/of-it',
}

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'oidc-release-'))
})
beforeEach(() => {
  writeFileSync(join(folder, 'package.json'), '{\n  "name": "express-oidc",\n  "version": "0.3.0"\n}\n')
  writeFileSync(join(folder, 'CHANGELOG.md'), CHANGELOG)
})
after(() => rmSync(folder, { recursive: true, force: true }))

function prepare(variables: Readonly<Record<string, string>> = VARIABLES): { status: number | null; stderr: string } {
  const args = ['--import', 'tsx', 'build/release.ts', folder, join(folder, 'notes.md')]
  const env = { PATH: process.env['PATH'], ...variables }
  return spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', env, timeout: 60_000 })
}

const read = (file: string) => readFileSync(join(folder, file), 'utf8')

describe('the preparation of a release', () => {
  it('adds the addresses of the repository that publishes, and nothing else', () => {
    const { status, stderr } = prepare()
    assert.equal(status, 0, stderr)
    assert.deepEqual(JSON.parse(read('package.json')), {
      name: 'express-oidc',
      version: '0.3.0',
      repository: { type: 'git', url: 'git+https://git.example.com/a-fork/of-it.git' },
      homepage: 'https://git.example.com/a-fork/of-it#readme',
      bugs: { url: 'https://git.example.com/a-fork/of-it/issues' },
    })
  })

  it('takes the notes of this version from the changelog', () => {
    assert.equal(prepare().status, 0)
    assert.equal(read('notes.md'), '### Added\n\n- A thing.\n')
  })

  for (const [what, variables, changelog, message] of [
    [
      'a tag of another version',
      { ...VARIABLES, GITHUB_REF_NAME: 'v0.3.1' },
      CHANGELOG,
      /The tag is v0\.3\.1, but package\.json has/,
    ],
    [
      'a tag without v',
      { ...VARIABLES, GITHUB_REF_NAME: '0.3.0' },
      CHANGELOG,
      /The tag is 0\.3\.0, but package\.json has/,
    ],
    ['no repository', { ...VARIABLES, GITHUB_REPOSITORY: '' }, CHANGELOG, /The environment has no GITHUB_REPOSITORY/],
    [
      'a version that is not in the changelog',
      VARIABLES,
      '# Changelog\n',
      /CHANGELOG\.md needs the heading "## \[0\.3\.0\]/,
    ],
    [
      'a version without a day',
      VARIABLES,
      CHANGELOG.replace('2026-12-01', 'Unreleased'),
      /needs the heading "## \[0\.3\.0\]/,
    ],
  ] as const) {
    it(`refuses ${what}, and changes nothing`, () => {
      writeFileSync(join(folder, 'CHANGELOG.md'), changelog)
      const earlier = read('package.json')
      const { status, stderr } = prepare(variables)
      assert.equal(status, 1)
      assert.match(stderr, message)
      assert.equal(read('package.json'), earlier)
    })
  }
})

describe('the bill of materials of a release', () => {
  it('lists what a user gets, with hashes, and nothing that only this repository needs', () => {
    const printed = execFileSync(process.execPath, ['--import', 'tsx', 'build/sbom.ts'], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    const { bomFormat, metadata, components } = JSON.parse(printed)
    assert.deepEqual([bomFormat, metadata.component.name], ['CycloneDX', 'express-oidc'])
    const names = components.map(({ name }: { name: string }) => name)
    for (const name of ['jose', 'openid-client', 'oauth4webapi', 'express-session'])
      assert.ok(names.includes(name), name)
    for (const name of ['typescript', 'express', 'oidc-provider', 'playwright-core'])
      assert.ok(!names.includes(name), name)
    for (const { name, hashes } of components) assert.match(hashes[0].content, /^[0-9a-f]{128}$/, name)
  })
})
