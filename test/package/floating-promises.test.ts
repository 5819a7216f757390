import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'

// Biome refuses a statement that drops a promise (noFloatingPromises), but not what is dropped on purpose, with `void`. Such a
// promise needs an owner, because a rejection without one ends the process (N-1).

/** The calls after `void` whose result may be a promise, and why none of them rejects without an owner. */
const DROPPED: Readonly<Record<string, string>> = {
  'browser.ts: check': 'runs in the page, where a listener that throws is reported as any error of the page',
  'http/error-page.ts: writeLog': 'never rejects: it catches what log() throws, and writes that',
  'http/error-page.ts: sendRendered': 'never rejects: it catches what render() throws',
  'oidc.ts: runCounted': 'has .catch, which passes the error to next',
  'oidc.ts: handOn': 'returns no promise',
  'oidc.ts: passError': 'returns no promise',
  'provider/cached-document.ts: renew': 'has .catch',
  'provider/provider.ts: renewMetadata': 'never rejects: renewerOf catches',
  'session/end-login.ts: failures.push': 'returns no promise',
  'session/end-login.ts: publishError': 'returns no promise',
  'session/login-watch.ts: stop': 'returns no promise',
  'session/store-watch.ts: endedAt.delete': 'returns no promise',
  'session/store-watch.ts: saved.set': 'returns no promise',
  'state/epoch.ts: read': 'has .catch',
  'state/guarded-state.ts: traced': 'has .catch',
  'state/locks.ts: release': 'never rejects: it has .catch',
  'telemetry/metrics.ts: channel.unsubscribe': 'returns no promise',
  'telemetry/metrics.ts: startedAt.set': 'returns no promise',
  'telemetry/metrics.ts: unsubscribe': 'returns no promise',
}

const sources = readdirSync(`${ROOT}lib`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({
    file: file.replaceAll('\\', '/'),
    text: withoutComments(readFileSync(join(ROOT, 'lib', file), 'utf8')),
  }))

function withoutComments(text: string): string {
  return text.replace(/\/\*.*?\*\/|^\s*\/\/[^\n]*$/gms, '')
}

function matches(pattern: RegExp): readonly string[] {
  return sources.flatMap(({ file, text }) => [...text.matchAll(pattern)].map((match) => `${file}: ${match[1]}`))
}

describe('promises in lib/', () => {
  it('N-1: are dropped with void only where one cannot reject', () => {
    assert.deepEqual([...new Set(matches(/\bvoid ([\w.]+)\(/g))].sort(), Object.keys(DROPPED).sort())
  })

  it('N-1: are not made by a listener, whose emitter drops them, nor by an async executor', () => {
    assert.deepEqual(matches(/\.(on|once|addListener|addEventListener|subscribe)\([^()]*,\s*async\b/g), [])
    assert.deepEqual(matches(/(new Promise(?:<[^>]*>)?\(\s*async|setTimeout\(\s*async|nextTick\(\s*async)\b/g), [])
  })
})
