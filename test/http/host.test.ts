import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findHost } from '../../lib/http/host.ts'
import type { Request } from '../../lib/http/request.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'

const { hosts } = parseOptions({
  issuer: 'https://id.example',
  clientId: 'app',
  secret: 'the secret that seals the cookies of an app',
  baseUrl: ['https://shop.example', 'https://desk.example:8443'],
}).app

/** Express' application behind a proxy with this address. */
function expressBehind(proxy: string): object {
  return { get: (name: string) => (name === 'trust proxy fn' ? (address: string) => address === proxy : undefined) }
}

function originOf(rawHeaders: readonly string[], more: object = {}): string | undefined {
  const headers: Record<string, string> = {}
  for (let at = 0; at < rawHeaders.length; at += 2)
    headers[rawHeaders[at]?.toLowerCase() ?? ''] ??= rawHeaders[at + 1] ?? ''
  const req = { url: '/profile', rawHeaders, headers, socket: { remoteAddress: '10.0.0.1' }, ...more }
  return findHost(req as unknown as Request, hosts)?.origin
}

type Row = readonly [name: string, rawHeaders: readonly string[], more?: object]

describe('the host of a request', () => {
  const found: readonly Row[] = [
    ['Host', ['Host', 'shop.example']],
    ['Host in other letters', ['HOST', 'Shop.Example']],
    ['Host with the default port', ['Host', 'shop.example:443']],
    [':authority of HTTP/2', [':authority', 'shop.example']],
    [':authority, with the same Host', [':authority', 'shop.example', 'Host', 'shop.example']],
    ['a target with the same host', ['Host', 'shop.example'], { url: 'https://shop.example/profile' }],
    ['a target that Express has shortened', ['Host', 'shop.example'], { originalUrl: '/app/profile', url: '/profile' }],
    ['a request without a URL', ['Host', 'shop.example'], { url: undefined }],
    ['the same Host twice', ['Host', 'shop.example', 'Host', 'shop.example']],
    [
      'X-Forwarded-Host of a trusted proxy, the first of several',
      ['Host', 'internal', 'X-Forwarded-Host', 'shop.example , proxy.example'],
      { app: expressBehind('10.0.0.1') },
    ],
  ]
  for (const [name, rawHeaders, more] of found) {
    it(`is found by ${name}`, () => assert.equal(originOf(rawHeaders, more), 'https://shop.example'))
  }

  const unknown: readonly Row[] = [
    ['no name of a host', []],
    ['an empty Host', ['Host', '']],
    ['another Host', ['Host', 'evil.example']],
    ['another port', ['Host', 'desk.example']],
    ['a host that begins with ours', ['Host', 'shop.example.evil.example']],
    ['user information before ours', ['Host', 'evil.example@shop.example']],
    ['a path in Host', ['Host', 'shop.example/desk.example']],
    ['a host that only a URL parser reads as ours', ['Host', 'shop.example\\.evil.example']],
    ['a port that no URL has', ['Host', 'shop.example:99999']],
    ['another host in the target', ['Host', 'shop.example'], { url: 'https://evil.example/profile' }],
    ['another host of ours in the target', ['Host', 'shop.example'], { url: 'https://desk.example:8443/profile' }],
    ['another Host beside :authority', [':authority', 'shop.example', 'Host', 'desk.example:8443']],
    ['two values of Host', ['Host', 'shop.example', 'Host', 'evil.example']],
    ['two hosts of ours in Host', ['Host', 'shop.example', 'Host', 'desk.example:8443']],
    ['X-Forwarded-Host, and another Host, in Connect', ['Host', 'internal', 'X-Forwarded-Host', 'shop.example']],
    [
      'X-Forwarded-Host from an address that is no proxy',
      ['Host', 'internal', 'X-Forwarded-Host', 'shop.example'],
      { app: expressBehind('10.0.0.2') },
    ],
    [
      'X-Forwarded-Host of an application without the setting',
      ['Host', 'internal', 'X-Forwarded-Host', 'shop.example'],
      { app: { get: () => undefined } },
    ],
    [
      'an empty X-Forwarded-Host of a trusted proxy',
      ['Host', 'shop.example', 'X-Forwarded-Host', ''],
      { app: expressBehind('10.0.0.1') },
    ],
    [
      'another host in X-Forwarded-Host of a trusted proxy',
      ['Host', 'shop.example', 'X-Forwarded-Host', 'evil.example, shop.example'],
      { app: expressBehind('10.0.0.1') },
    ],
  ]
  for (const [name, rawHeaders, more] of unknown) {
    it(`is unknown with ${name}`, () => assert.equal(originOf(rawHeaders, more), undefined))
  }
})
