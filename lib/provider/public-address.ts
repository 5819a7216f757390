import dns, { type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ProviderError } from '../errors.ts'

/**
 * Networks that are not on the public internet, from the IANA registry of special-purpose addresses (RFC 6890): this host,
 * private networks, carrier-grade NAT, loopback, link-local (with the metadata services of clouds), documentation,
 * benchmarks, relays, multicast and reserved ones.
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
  // Looks public, but is internal to Azure.
  ['168.63.129.16', 32],
]

/** Exceptions within the public range: protocol assignments with Teredo, documentation, and 6to4, which embeds IPv4. */
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

/** RFC 4291 2.4: the only assigned IPv6 range. IPv4-mapped addresses and all other forms are outside of it. */
const assigned = new BlockList()
assigned.addSubnet('2000::', 3, 'ipv6')
assigned.addSubnet(NAT64, 96, 'ipv6')

/** True for the address of a host on the public internet. False for anything that is not an address. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !internal.check(address, 'ipv4')
  // An address with a zone (`fe80::1%eth0`) is never a public one.
  if (isIP(address) !== 6 || address.includes('%')) return false
  return assigned.check(address, 'ipv6') && !internal.check(address, 'ipv6')
}

/** True if the host of a URL is an address that is not public. Names are not resolved: see {@link createPublicLookup}. */
export function hasInternalAddress({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) !== 0 && !isPublicAddress(host)
}

/**
 * Creates a `lookup` for `node:http` and `node:https` that returns only public addresses. The connection goes to the checked
 * address, so DNS rebinding gains nothing. Node calls it only for names: {@link hasInternalAddress} checks an address in the
 * URL itself.
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
  // Without the host name: a user may have typed it.
  return new ProviderError('ERR_OIDC_PROVIDER_UNREACHABLE', 'The host name resolves to no public address.')
}
