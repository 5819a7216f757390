import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { startTestProvider } from '../../lib/testing.ts'
import { ROOT } from '../support/app/project.ts'
import { type Browser, createBrowser, type Page } from '../support/browser/browser.ts'
import { filesBelow, readText } from '../support/docs/code-blocks.ts'
import { freePort, startApp } from '../support/docs/started-app.ts'
import { createKitProjects, type KitProjects } from '../support/test-kit/projects.ts'

interface Guide {
  readonly file: string
  /** The name of the file that each step replaces. */
  readonly program: string
  /** Its text after each step. */
  readonly steps: readonly string[]
}

const GUIDES = [...filesBelow('docs/start', '.md').map(guideOf)]

function guideOf(file: string): Guide {
  const blocks = [...readText(file).matchAll(/^```(?:js|ts)\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)]
  const [, program = assert.fail(`${file} has no program`)] = blocks[0] ?? []
  assert.ok(
    blocks.every(([, name]) => name === program),
    file,
  )
  return { file, program, steps: blocks.map(([, , code = '']) => code) }
}

/** The commands of a page that begin so. */
function commandsOf(file: string, start: string): readonly string[] {
  return [...readText(file).matchAll(/^ {4}(.*)$/gm)]
    .map(([, line = '']) => line)
    .filter((line) => line.startsWith(start))
}

describe('the pages of Start', () => {
  let kit: KitProjects | undefined
  before(() => {
    kit = createKitProjects()
  })
  after(() => kit?.remove())

  it('are four', () => {
    assert.deepEqual(
      GUIDES.map(({ file, program }) => [file, program]),
      [
        ['docs/start/commonjs.md', 'app.cjs'],
        ['docs/start/connect.md', 'app.js'],
        ['docs/start/javascript.md', 'app.js'],
        ['docs/start/typescript.md', 'server.ts'],
      ],
    )
  })

  for (const guide of GUIDES) {
    it(`lead to claims on the screen: ${guide.file}`, async () => {
      const folder = createProject(guide)
      const [hello, login, own, ...others] = guide.steps
      assert.equal(others.length, 0)
      await runStep(guide, folder, hello, {}, async (browser) => {
        assert.equal((await browser.open('/')).body, 'Hello')
      })
      await runStep(guide, folder, login, {}, (browser) => visit(browser, 'Alice Example'))
      compile(guide, folder)
      await runOwnProvider(guide, folder, own)
      compile(guide, folder)
    })

    it(`have a checkpoint in each step, and install what the app imports: ${guide.file}`, () => {
      const steps = readText(guide.file).split(/^## (?=\d\. )/m)
      assert.equal(steps.length, 4)
      for (const step of steps.slice(1)) assert.match(step, /^\*\*Checkpoint\.\*\* /m)
      const installed = new Set(commandsOf(guide.file, 'npm install').flatMap((line) => line.split(' ').slice(2)))
      const imported = guide.steps.flatMap((code) => [...code.matchAll(/(?:from |require\()'(?!node:)([\w-]+)/g)])
      assert.ok(imported.length > 3)
      for (const [, name = ''] of imported) assert.ok(installed.has(name), name)
    })
  }

  it('lead to the same place as the first app of the README', async () => {
    assert.ok(kit)
    const [, code = ''] = /^```ts\n([\s\S]*?)^```$/m.exec(readText('README.md')) ?? []
    const listening = code.replace('.listen(3000)', ".listen(3000, () => console.log('Open http://localhost:3000'))")
    assert.notEqual(listening, code)
    const guide = { file: 'README.md', program: 'app.js', steps: [listening] }
    await runStep(guide, kit.create('readme', { type: 'module' }, new Map()), listening, {}, async (browser) => {
      const profile = await browser.submit(await browser.open('/profile'), { username: 'alice' })
      assert.equal(profile.json()['name'], 'Alice Example')
    })
  })

  function createProject({ file, program }: Guide): string {
    assert.ok(kit)
    const isModule = commandsOf(file, 'npm pkg set type=module').length === 1
    const settings = /^```json\n(\{\n {2}"compilerOptions"[\s\S]*?)```$/m.exec(readText(file))?.[1]
    const files = new Map(settings === undefined ? [] : [['tsconfig.json', settings]])
    return kit.create(`${file.replace(/\W/g, '-')}-${program}`, isModule ? { type: 'module' } : {}, files)
  }

  /** As `npx tsc` does, where the page has a tsconfig.json. */
  function compile({ program }: Guide, folder: string): void {
    if (program.endsWith('.ts'))
      execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder])
  }

  /** The last step, with a provider that knows only what the page says to register. */
  async function runOwnProvider(guide: Guide, folder: string, code: string | undefined): Promise<void> {
    const text = readText(guide.file)
    const port = await freePort()
    const registered = [...text.matchAll(/^\| .*URI.* \| `(.*)` \|$/gm)].map(([, url = '']) => withPort(url, port))
    const [redirectUri = '', postLogoutRedirectUri = ''] = registered
    const client = {
      clientId: 'my-app',
      clientSecret: 'short secret',
      redirectUris: [redirectUri],
      postLogoutRedirectUris: [postLogoutRedirectUri],
    }
    const provider = await startTestProvider({
      users: [{ sub: 'ada', name: 'Ada Lovelace' }],
      clients: [client],
      signInPage: true,
      idTokenSignedResponseAlg: 'RS256',
    })
    const values: Readonly<Record<string, string>> = {
      ISSUER: provider.options.issuer,
      CLIENT_ID: client.clientId,
      CLIENT_SECRET: client.clientSecret,
      SESSION_SECRET: 'a secret of the session that is long enough',
      OIDC_SECRET: 'another secret that is also long enough, really',
    }
    const names = [...(/^```ini\n([\s\S]*?)^```$/m.exec(text)?.[1] ?? '').matchAll(/^(\w+)=/gm)].map(
      ([, name = '']) => name,
    )
    assert.deepEqual(names, Object.keys(values))
    try {
      await runStep(guide, folder, code, values, (browser) => visit(browser, 'Ada Lovelace'), port)
    } finally {
      await provider.close()
    }
  }
})

function withPort(text: string, port: number): string {
  return text.replaceAll('3000', String(port))
}

/** Replaces the program, starts it, and looks at it. */
async function runStep(
  { program }: Guide,
  folder: string,
  code: string | undefined,
  env: Readonly<Record<string, string>>,
  look: (browser: Browser) => Promise<void>,
  port?: number,
): Promise<void> {
  assert.ok(code)
  const free = port ?? (await freePort())
  writeFileSync(join(folder, program), withPort(code, free))
  const args = program.endsWith('.ts') ? ['--import', 'tsx', program] : [program]
  const app = await startApp({ folder, args, env })
  try {
    await look(createBrowser({ origin: app.origin }))
  } finally {
    await app.stop()
  }
}

/** Does what the checkpoints say. */
async function visit(browser: Browser, name: string): Promise<void> {
  const signIn = await browser.open('/profile')
  assert.match(signIn.body, /name="username"/)
  const user = name.split(' ')[0]?.toLowerCase() ?? ''
  const profile: Page = await browser.submit(signIn, { username: user, password: 'any' })
  assert.equal(new URL(profile.url).pathname, '/profile')
  assert.equal(profile.json()['sub'], user)
  assert.equal(profile.json()['name'], name)
  const home = await browser.open('/')
  assert.match(home.body, /Log out/)
  const left = await browser.submit(home)
  assert.equal(new URL(left.url).pathname, '/')
  assert.match(left.body, /Log in/)
}
