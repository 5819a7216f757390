import dns, { type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ProviderError } from '../errors.ts'

/**
 * What is not on the public internet, by the IANA registry of special-purpose addresses (RFC 6890): this host, private
 * networks, carrier-grade NAT, loopback, link-local with the metadata services of clouds, documentation, benchmarks,
 * relays, multicast, and what is reserved.
 */
const INTERNAL_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Looks public, and is the inside of Azure.
  ['168.63.129.16', 32],
]

/** Within what is public: protocol assignments with Teredo, documentation, and 6to4, which holds IPv4 addresses. */
const INTERNAL_IPV6: readonly (readonly [network: string, prefix: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

/** NAT64 (RFC 6052 2.1): the IPv4 address is in the last 32 bits. */
const NAT64 = '64:ff9b::'

const internal = new BlockList()
for (const [network, prefix] of INTERNAL_IPV4) {
  internal.addSubnet(network, prefix, 'ipv4')
  internal.addSubnet(NAT64 + network, 96 + prefix, 'ipv6')
}
for (const [network, prefix] of INTERNAL_IPV6) internal.addSubnet(network, prefix, 'ipv6')

/** RFC 4291 2.4: of IPv6, this alone has been given out. IPv4-mapped and all other forms are outside. */
const given = new BlockList()
given.addSubnet('2000::', 3, 'ipv6')
given.addSubnet(NAT64, 96, 'ipv6')

/** Whether this is the address of a host on the public internet. False for anything that is no address. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !internal.check(address, 'ipv4')
  // An address with a zone (`fe80::1%eth0`) is never a public one.
  if (isIP(address) !== 6 || address.includes('%')) return false
  return given.check(address, 'ipv6') && !internal.check(address, 'ipv6')
}

/** Whether a URL names its host by an address that is not public. No name is looked up: see {@link createPublicLookup}. */
export function hasInternalAddress({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) !== 0 && !isPublicAddress(host)
}

/**
 * A `lookup` for `node:http` and `node:https` that hands out public addresses alone. The connection goes to what was
 * checked, so a name that points elsewhere at a second look (DNS rebinding) gains nothing. Node asks it for names only:
 * an address in the URL itself is what {@link hasInternalAddress} is for.
 */
export function createPublicLookup(lookup: LookupFunction = dns.lookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '')
      const addresses = publicOnly(found)
      const [first] = addresses
      if (first === undefined) callback(notPublic(), '')
      else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

function publicOnly(found: string | LookupAddress[]): LookupAddress[] {
  return typeof found === 'string' ? [] : found.filter(({ address }) => isPublicAddress(address))
}

function notPublic(): ProviderError {
  return new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', 'The name of a host leads to no public address.')
}
