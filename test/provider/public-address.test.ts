import assert from 'node:assert/strict'
import type { LookupAddress, LookupOptions } from 'node:dns'
import http from 'node:http'
import type { LookupFunction } from 'node:net'
import { describe, it } from 'node:test'
import { createPublicLookup, hasInternalAddress, isPublicAddress } from '../../lib/provider/public-address.ts'
import { listen } from '../support/servers/http-server.ts'

const INTERNAL: readonly (readonly [what: string, ...addresses: readonly string[]])[] = [
  ['this host', '0.0.0.0', '0.255.255.255', '::'],
  ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
  ['private networks', '10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255'],
  ['carrier-grade NAT', '100.64.0.1', '100.127.255.255'],
  ['link-local', '169.254.0.1', '169.254.255.255', 'fe80::1', 'febf::1'],
  ['link-local with a zone', 'fe80::1%eth0', '2606:4700::1111%eth0'],
  ['metadata services', '169.254.169.254', '100.100.100.200', '192.0.0.192', '168.63.129.16', 'fd00:ec2::254'],
  ['unique local', 'fc00::1', 'fdff:ffff::1'],
  ['site-local', 'fec0::1'],
  ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  ['broadcast and reserved', '240.0.0.1', '255.255.255.255', '4000::1', 'c000::1'],
  ['protocol assignments', '192.0.0.1', '2001:1::1'],
  ['documentation', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
  ['benchmarks', '198.18.0.1', '198.19.255.255', '2001:2::1'],
  ['discard', '100::1'],
  ['Teredo', '2001::1', '2001:0:ffff:ffff::1'],
  ['6to4', '192.88.99.1', '2002:7f00:1::1', '2002:808:808::1'],
  ['IPv4-mapped', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:8.8.8.8', '0:0:0:0:0:ffff:0a00:0001'],
  ['IPv4-compatible', '::127.0.0.1', '::8.8.8.8'],
  ['IPv4-translated', '::ffff:0:127.0.0.1'],
  ['NAT64 of internal addresses', '64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b::169.254.169.254', '64:ff9b::'],
  ['NAT64 of local use', '64:ff9b:1::8.8.8.8', '64:ff9b:1::a00:1'],
  ['segment routing', '5f00::1'],
  [
    'no address',
    '',
    'localhost',
    '8.8.8',
    '8.8.8.8.8',
    '08.8.8.8',
    '0x8.8.8.8',
    '8.8.8.8 ',
    '[2606:4700::1111]',
    '2606:4700',
  ],
]

const PUBLIC: readonly string[] = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
  ...['128.0.0.1', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0', '192.167.255.255'],
  ...['192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '168.63.129.15'],
  ...['2001:200::1', '2001:4860:4860::8888', '2606:4700::1111', '2a00:1450:4001::1', '3ffe::1', '64:ff9b::8.8.8.8'],
]

describe('a public address', () => {
  for (const [what, ...addresses] of INTERNAL) {
    it(`is not ${what}`, () => {
      assert.deepEqual(
        addresses.filter((address) => isPublicAddress(address)),
        [],
      )
    })
  }

  it('is one that is reachable on the internet', () => {
    assert.deepEqual(
      PUBLIC.filter((address) => !isPublicAddress(address)),
      [],
    )
  })
})

describe('a URL with an internal address', () => {
  const internal = [
    ...['https://127.0.0.1/', 'https://127.0.0.1:8443/', 'https://127.1/', 'https://0177.0.0.1/', 'https://0x7f.1/'],
    ...['https://2130706433/', 'https://127.0.0.1./', 'https://0/', 'https://[::1]/', 'https://[::ffff:8.8.8.8]/'],
    ...['https://[64:ff9b::7f00:1]:8443/', 'https://%31%32%37.0.0.1/', 'https://\u2460\u2461\u2466.0.0.1/'],
  ]
  for (const url of internal) {
    it(`is ${url}`, () => assert.equal(hasInternalAddress(new URL(url)), true))
  }

  for (const url of ['https://8.8.8.8/', 'https://[2606:4700::1111]/', 'https://localhost/', 'https://1.example/']) {
    it(`is not ${url}`, () => assert.equal(hasInternalAddress(new URL(url)), false))
  }
})

/** What the lookup hands out of what the names lead to, or the code of its error. */
async function lookUp(found: LookupFunction, options: LookupOptions): Promise<unknown> {
  return new Promise((resolve) => {
    createPublicLookup(found)('host.test', options, (error, address, family) => {
      resolve(error ? error.code : family === undefined ? address : [address, family])
    })
  })
}

function leadingTo(...addresses: readonly string[]): LookupFunction {
  const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_hostname, options, callback) => {
    assert.equal(options.all, true)
    callback(null, found)
  }
}

describe('a lookup of public addresses', () => {
  it('returns the first one', async () => {
    assert.deepEqual(await lookUp(leadingTo('8.8.8.8', '1.1.1.1'), {}), ['8.8.8.8', 4])
    assert.deepEqual(await lookUp(leadingTo('2606:4700::1111'), { family: 6 }), ['2606:4700::1111', 6])
  })

  it('returns all of them', async () => {
    const all = [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ]
    assert.deepEqual(await lookUp(leadingTo('8.8.8.8', '2606:4700::1111'), { all: true }), all)
  })

  it('removes those that are not public', async () => {
    assert.deepEqual(await lookUp(leadingTo('127.0.0.1', '8.8.8.8'), {}), ['8.8.8.8', 4])
    assert.deepEqual(await lookUp(leadingTo('::1', '8.8.8.8', '10.0.0.1'), { all: true }), [
      { address: '8.8.8.8', family: 4 },
    ])
  })

  for (const options of [{}, { all: true }]) {
    it(`fails if none is public: ${JSON.stringify(options)}`, async () => {
      assert.equal(await lookUp(leadingTo('127.0.0.1', '169.254.169.254'), options), 'ERR_OIDC_PROVIDER_UNREACHABLE')
      assert.equal(await lookUp(leadingTo(), options), 'ERR_OIDC_PROVIDER_UNREACHABLE')
    })
  }

  it('refuses a lookup that returns one address although all were requested', async () => {
    const found: LookupFunction = (_hostname, _options, callback) => callback(null, '8.8.8.8', 4)
    assert.equal(await lookUp(found, {}), 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })

  it('fails as the lookup does', async () => {
    const failing: LookupFunction = (_hostname, _options, callback) => {
      // As node:dns does: with the error alone.
      Reflect.apply(callback, undefined, [Object.assign(new Error('no'), { code: 'ENOTFOUND' })])
    }
    assert.equal(await lookUp(failing, {}), 'ENOTFOUND')
  })

  it('uses the system if no other lookup is given', async () => {
    const code = await new Promise((resolve) => {
      createPublicLookup()('localhost', {}, (error) => resolve(error?.code))
    })
    assert.equal(code, 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })
})

describe('a connection with such a lookup', () => {
  it('is never made to an internal address, whatever the name resolved to before', async () => {
    let connections = 0
    const server = http.createServer().on('connection', () => connections++)
    const { port, stop } = await listen(server)
    try {
      // The first look is that of some check; the connection goes by the second.
      const looks = [leadingTo('127.0.0.1'), leadingTo('8.8.8.8')]
      const lookup = createPublicLookup((...look) => looks.pop()?.(...look))
      await new Promise((resolve) => lookup('rebinding.test', {}, resolve))
      const code = await new Promise((resolve) => {
        const request = http.get({ host: 'rebinding.test', port, lookup, agent: false })
        request.on('error', (error) => resolve(Reflect.get(error, 'code')))
        request.on('response', () => resolve('connected'))
      })
      assert.deepEqual([code, connections, looks], ['ERR_OIDC_PROVIDER_UNREACHABLE', 0, []])
    } finally {
      await stop()
    }
  })
})
