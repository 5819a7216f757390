import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair } from 'jose'
import { errors } from 'oidc-provider'
import type { Problem } from '../pages/problem.ts'
import { API_AUDIENCE, findAccountById, SCRIPT } from './accounts.ts'
import type { Identity } from './identities.ts'
import { createMemoryAdapter } from './memory-adapter.ts'
import { providerProblemPage, signOutPage } from './pages.ts'

/** The registered app. */
export interface Client {
  readonly clientId: string
  readonly clientSecret: string
  readonly clientName: string
  /** The app's origin as browsers see it. */
  readonly baseUrl: string
  /** The path of its redirect URI. */
  readonly callback: string
}

/** The members that we use of Koa's context: oidc-provider is built on Koa. */
interface PageContext {
  type: string
  body: string
  readonly oidc: { readonly entities: { readonly IdTokenHint?: unknown } }
}

/** Every scope that the provider supports. */
export const SCOPES: readonly string[] = ['openid', 'profile', 'email', 'groups', 'reports:read']

const HOUR = 3_600
/** Short, because anyone who finds such a token can use it. */
const API_TOKEN_LIFETIME = 600

/** The page for a sign-in or sign-out that cannot continue. */
export function brokenOff({ baseUrl, clientName }: Client): Problem {
  return {
    status: 400,
    title: 'This cannot go on',
    text: 'The sign-in or sign-out is too old, or was begun elsewhere. Please start again from the app.',
    action: { href: baseUrl, label: `Back to ${clientName}` },
  }
}

/** The configuration of oidc-provider. New keys are made each time. */
export async function createConfiguration(identity: Identity, client: Client): Promise<object> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return {
    adapter: createMemoryAdapter(),
    clients: [clientMetadata(client), ...(identity.issuesApiTokens ? [scriptMetadata()] : [])],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')], names: cookieNames(identity) },
    scopes: SCOPES,
    claims: {
      openid: ['sub'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    findAccount: (_context: unknown, accountId: string) => toAccount(identity, accountId),
    clientBasedCORS: () => false,
    features: {
      devInteractions: { enabled: false },
      ...(identity.issuesApiTokens && apiTokens()),
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context: PageContext, form: string) => showSignOut(identity, context, form),
        postLogoutSuccessSource: (context: PageContext) =>
          show(context, providerProblemPage(identity, signedOut(client))),
      },
    },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    renderError: (context: PageContext) => show(context, providerProblemPage(identity, brokenOff(client))),
    ttl: {
      AccessToken: HOUR,
      ClientCredentials: API_TOKEN_LIFETIME,
      Grant: 12 * HOUR,
      IdToken: HOUR,
      Interaction: HOUR,
      Session: 12 * HOUR,
    },
  }
}

/** Cookies ignore the port, so two providers on one host need different cookie names. */
function cookieNames({ name }: Identity): object {
  return { session: `_${name}_session`, interaction: `_${name}_interaction`, resume: `_${name}_resume` }
}

function toAccount({ accounts }: Identity, accountId: string): object | undefined {
  const account = findAccountById(accounts, accountId)
  return account && { accountId, claims: () => ({ sub: accountId, ...account.claims }) }
}

function clientMetadata({ clientId, clientSecret, clientName, baseUrl, callback }: Client): object {
  return {
    client_id: clientId,
    client_secret: clientSecret,
    client_name: clientName,
    redirect_uris: [baseUrl + callback],
    post_logout_redirect_uris: [`${baseUrl}/signed-out`],
  }
}

/** A client without users, which gets tokens for itself (RFC 6749 4.4). */
function scriptMetadata(): object {
  return {
    client_id: SCRIPT.clientId,
    client_secret: SCRIPT.clientSecret,
    client_name: 'The timetable script',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    scope: SCRIPT.scope,
  }
}

/** Access tokens for the API of the app are JWTs with its name as the audience (RFC 9068, RFC 8707). */
function apiTokens(): object {
  const api = {
    scope: SCRIPT.scope,
    audience: API_AUDIENCE,
    accessTokenFormat: 'jwt',
    accessTokenTTL: API_TOKEN_LIFETIME,
  }
  return {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context: unknown, resource: string) => {
        if (resource !== API_AUDIENCE) throw new errors.InvalidTarget()
        return { ...api, jwt: { sign: { alg: 'RS256' } } }
      },
    },
  }
}

function signedOut({ baseUrl, clientName }: Client): Problem {
  const action = { href: baseUrl, label: `Go to ${clientName}` }
  return { status: 200, title: 'You are signed out', text: 'See you soon.', action }
}

function showSignOut(identity: Identity, context: PageContext, form: string): void {
  // Without an ID Token hint, the user must confirm the logout (RP-Initiated Logout 1.0, 2).
  show(context, signOutPage(identity, { form, confirmation: context.oidc.entities.IdTokenHint ? 'auto' : 'ask' }))
}

function show(context: PageContext, page: string): void {
  context.type = 'html'
  context.body = page
}
