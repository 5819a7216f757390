import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import express from 'express'
import { LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'
import { headerOf } from './code-block-compiler.ts'
import { type CodeBlock, ROOT } from './code-blocks.ts'

const ISSUER = 'https://op.example.com'
const BASE_URL = 'https://app.example.com'
const SECRET = 'a secret of more than 32 characters'

/** What blocks use without saying where it is from, as the prelude of the compiler declares it. */
function surroundings(): Readonly<Record<string, unknown>> {
  const needed = { issuer: ISSUER, clientId: 'app', clientSecret: SECRET.replaceAll(' ', '-'), baseUrl: BASE_URL }
  return {
    ...needed,
    app: express(),
    options: needed,
    secret: SECRET,
    oldSecret: `the old one: ${SECRET}`,
    signingKey: privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sig'),
    encryptionKey: privateJwk(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'enc'),
    certificate: LOOPBACK_CERTIFICATE.cert,
    certificateKey: LOOPBACK_CERTIFICATE.key,
  }
}

function privateJwk({ privateKey }: KeyPairKeyObjectResult, use: 'sig' | 'enc'): object {
  return { ...privateKey.export({ format: 'jwk' }), use }
}

/** Runs a block as a module of its own. Rejects with whatever it throws. */
export async function runBlock(block: CodeBlock): Promise<void> {
  const cache = join(ROOT, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'run-block-'))
  const names = surroundings()
  try {
    const file = join(folder, 'block.ts')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(file, withSources([...headerOf(block), block.code].join('\n')))
    Object.assign(globalThis, names)
    await import(file)
  } finally {
    for (const name of Object.keys(names)) Reflect.deleteProperty(globalThis, name)
    rmSync(folder, { recursive: true })
  }
}

/** The package as its sources are, which need no build. */
function withSources(code: string): string {
  return code
    .replaceAll("'express-oidc'", `'${join(ROOT, 'lib/index.ts')}'`)
    .replaceAll(/'express-oidc\/(\w+)'/g, (_, name) => `'${join(ROOT, 'lib', `${name}.ts`)}'`)
}
