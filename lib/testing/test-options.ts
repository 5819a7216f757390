import { ConfigError, shown } from '../errors.ts'
import {
  type AsymmetricSignatureAlgorithm,
  findJwsAlgorithm,
  SIGNATURE_ALGORITHMS,
  usesClientSecret,
} from '../jose/algorithms.ts'
import { isObject } from '../jose/json.ts'
import { isCredential } from '../options/credential.ts'
import type { ProviderOptions } from '../options/provider-options.ts'
import { parseHttpUrl } from '../options/urls.ts'
import type { Json } from '../types.ts'

/** A user of the test provider: the claims by their names. Without `sub`, `login()` takes the first user's. */
export interface TestClaims {
  /** The subject identifier. */
  readonly sub?: string
  /** Standard claims such as `email`, and claims of your own such as `groups`. */
  readonly [claim: string]: Json | undefined
}

/** A user of the test provider, with the claims that it tells about them. */
export interface TestUser extends TestClaims {
  readonly sub: string
}

/** A client that is registered at the test provider. */
export interface TestClient {
  /** The client identifier. */
  readonly clientId: string
  /** The client secret. Leave it out for a public client, or for one that authenticates with a key. */
  readonly clientSecret?: string
  /**
   * How the client authenticates: `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`.
   * @default with a `clientSecret` both methods that send it, with `jwks` `private_key_jwt`, else `none`
   */
  readonly tokenEndpointAuthMethod?: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none'
  /** The public keys of the client, for `private_key_jwt`. */
  readonly jwks?: { readonly keys: readonly object[] }
  /**
   * The redirect URIs, compared character by character.
   * @default every http URL of this machine (`localhost`, `127.0.0.1`, `[::1]`), with any port and path
   */
  readonly redirectUris?: readonly string[]
  /**
   * The URLs to which a logout may return.
   * @default every http URL of this machine
   */
  readonly postLogoutRedirectUris?: readonly string[]
}

/** The options of {@link startTestProvider}. All may be left out. */
export interface TestProviderOptions {
  /**
   * The users. The first one logs in if nothing says who.
   * @default one user with the `sub` 'alice'
   */
  readonly users?: readonly TestUser[]
  /**
   * The clients. `provider.options` is for the first one.
   * @default one client with the id 'test-client' and a random secret
   */
  readonly clients?: readonly TestClient[]
  /**
   * Show a page where the user types who they are. Without it, a browser that comes to log in is sent back at once, logged
   * in as the first user or as the user whom `login_hint` names.
   * @default false
   */
  readonly signInPage?: boolean
  /**
   * What tokens are signed with: an algorithm with a key pair, such as RS256 or EdDSA. An RSA key is made when it is first
   * needed, which takes about 100 ms.
   * @default 'ES256'
   */
  readonly idTokenSignedResponseAlg?: AsymmetricSignatureAlgorithm
  /**
   * The audience of access tokens for which nobody names another.
   * @default 'https://api.example.com'
   */
  readonly audience?: string
  /**
   * The lifetime of ID Tokens and access tokens, in seconds.
   * @default 3600
   */
  readonly tokenLifetime?: number
}

/** The options of `oidc()` that belong to a client of the test provider. */
export type TestClientOptions = Pick<
  ProviderOptions,
  'issuer' | 'clientSecret' | 'idTokenSignedResponseAlg' | 'tokenEndpointAuthMethod'
> & { readonly clientId: string; readonly dangerouslyAllowInsecureRequests: true }

/** The options of `bearer()` that belong to the test provider. */
export interface TestApiOptions {
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly AsymmetricSignatureAlgorithm[]
  readonly dangerouslyAllowInsecureRequests: true
}

/** The options with their defaults. */
export interface TestSetup extends Required<TestProviderOptions> {
  readonly users: readonly [TestUser, ...TestUser[]]
  readonly clients: readonly [TestClient, ...TestClient[]]
}

const DEFAULT_USER: TestUser = {
  sub: 'alice',
  name: 'Alice Example',
  given_name: 'Alice',
  family_name: 'Example',
  preferred_username: 'alice',
  email: 'alice@example.com',
  email_verified: true,
}

/**
 * Checks the options and fills in the defaults. Throws a `ConfigError` that lists all problems.
 *
 * @param randomSecret The secret of the default client.
 */
export function parseTestOptions(given: TestProviderOptions, randomSecret: string): TestSetup {
  const faults = isObject(given) ? [...unknownNames(given), ...FIELDS.flatMap((find) => find(given))] : [NOT_AN_OBJECT]
  if (faults.length > 0) throw new ConfigError(faults)
  const [firstUser = DEFAULT_USER, ...users] = given.users ?? []
  const [firstClient = { clientId: 'test-client', clientSecret: randomSecret }, ...clients] = given.clients ?? []
  return {
    users: [firstUser, ...users],
    clients: [firstClient, ...clients],
    signInPage: given.signInPage ?? false,
    idTokenSignedResponseAlg: given.idTokenSignedResponseAlg ?? 'ES256',
    audience: given.audience ?? 'https://api.example.com',
    tokenLifetime: given.tokenLifetime ?? 3600,
  }
}

const NOT_AN_OBJECT = 'The options must be an object, for example { signInPage: true }.'

const NAMES = ['users', 'clients', 'signInPage', 'idTokenSignedResponseAlg', 'audience', 'tokenLifetime']

function unknownNames(given: object): readonly string[] {
  const unknown = Object.keys(given).filter((name) => !NAMES.includes(name))
  return unknown.map((name) => `There is no option ${shown(name)}. There are ${NAMES.join(', ')}.`)
}

/** One for each option: its problems. */
const FIELDS: readonly ((given: TestProviderOptions) => readonly string[])[] = [
  ({ users }) => listFaults('users', users, (user) => (isText(user['sub']) ? [] : ['must have a sub, as text'])),
  ({ users = [] }) => distinctFaults('users', 'sub', users),
  ({ clients }) => listFaults('clients', clients, clientFaults),
  ({ clients = [] }) => distinctFaults('clients', 'clientId', clients),
  ({ signInPage }) => unless(['undefined', 'boolean'].includes(typeof signInPage), 'signInPage must be true or false.'),
  ({ idTokenSignedResponseAlg: alg }) =>
    unless(
      alg === undefined || (findJwsAlgorithm(alg)?.keyKinds.length ?? 0) > 0,
      `idTokenSignedResponseAlg must be one of ${KEY_ALGORITHMS.join(', ')}.`,
    ),
  ({ audience }) => unless(audience === undefined || isText(audience), 'audience must be text that is not empty.'),
  ({ tokenLifetime: seconds = 1 }) =>
    unless(Number.isFinite(seconds) && seconds > 0, 'tokenLifetime must be a number of seconds above 0.'),
]

const KEY_ALGORITHMS = SIGNATURE_ALGORITHMS.filter((alg) => !usesClientSecret(alg))

function unless(isRight: boolean, fault: string): readonly string[] {
  return isRight ? [] : [fault]
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

type Item = Readonly<Record<string, unknown>>

function listFaults(name: string, given: unknown, faultsOf: (item: Item) => readonly string[]): readonly string[] {
  if (given === undefined) return []
  if (!Array.isArray(given) || given.length === 0) return [`${name} must be a list with at least one member.`]
  return given.flatMap((item: unknown, index) =>
    (isObject(item) ? faultsOf(item) : ['must be an object']).map((fault) => `${name}[${index}] ${fault}.`),
  )
}

function distinctFaults(name: string, member: string, list: readonly object[]): readonly string[] {
  const values = Array.isArray(list) ? list.map((item) => Reflect.get(Object(item), member)) : []
  return unless(new Set(values).size === values.length, `${name} must each have another ${member}.`)
}

const AUTH_METHODS: readonly unknown[] = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none']

function clientFaults(client: Item): readonly string[] {
  const { clientId, clientSecret, tokenEndpointAuthMethod: method, jwks } = client
  const { keys } = Object(jwks)
  return [
    ...unless(isCredential(clientId), 'must have a clientId, as text'),
    ...unless(
      clientSecret === undefined || isCredential(clientSecret),
      'must have a clientSecret that is text, or none',
    ),
    ...unless(
      method === undefined || AUTH_METHODS.includes(method),
      `must have one of ${AUTH_METHODS.join(', ')} as tokenEndpointAuthMethod`,
    ),
    ...unless(method !== 'private_key_jwt' || Array.isArray(keys), 'must have jwks, because it uses private_key_jwt'),
    ...unless(
      !String(method).startsWith('client_secret') || clientSecret !== undefined,
      'must have a clientSecret for its tokenEndpointAuthMethod',
    ),
    ...['redirectUris', 'postLogoutRedirectUris'].flatMap((name) =>
      unless(client[name] === undefined || isUrlList(client[name]), `must have absolute URLs in ${name}`),
    ),
  ]
}

function isUrlList(value: unknown): boolean {
  return Array.isArray(value) && value.every((url) => parseHttpUrl(url) !== undefined)
}
