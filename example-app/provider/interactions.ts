import express, { type Request, type Router } from 'express'
import type { InteractionDetails, Provider } from 'oidc-provider'
import { findAccountById, findAccountByPassword } from './accounts.ts'
import type { Identity } from './identities.ts'
import { consentPage, signInPage, type Wish } from './pages.ts'

const WISHES: readonly Wish[] = [
  { scope: 'openid', label: 'Know that it is you', detail: 'The same you as last time.', necessity: 'needed' },
  { scope: 'profile', label: 'Your name', detail: 'As it stands in your account.', necessity: 'needed' },
  { scope: 'email', label: 'Your e-mail address', detail: 'To show whose account it is.', necessity: 'optional' },
  { scope: 'groups', label: 'Your groups', detail: 'They decide who may open Admin.', necessity: 'optional' },
  {
    scope: 'reports:read',
    label: 'Read reports for you',
    detail: 'Without it, Reports stay closed.',
    necessity: 'optional',
  },
]

/** The pages between an authorization request and its response: sign in, allow, refuse. */
export function createInteractions(provider: Provider, identity: Identity, clientName: string): Router {
  const router = express.Router()
  const form = express.urlencoded({ extended: false, limit: '8kb' })

  router.get('/interaction/:uid', async (req, res) => {
    const details = await provider.interactionDetails(req, res)
    const { uid, prompt, session } = details
    // If a user with a session gets here, the app wants the password again.
    const known = findAccountById(identity.accounts, session?.accountId)
    const occasion = known ? 'again' : 'first'
    if (prompt.name === 'login') res.send(signInPage(identity, { uid, occasion, userName: known?.userName }))
    else res.send(consentPage(identity, { uid, clientName, wishes: wishesOf(details) }))
  })

  router.post('/interaction/:uid/sign-in', form, async (req, res) => {
    const { uid } = await provider.interactionDetails(req, res)
    const userName = fields(req, 'name').join()
    const account = findAccountByPassword(identity.accounts, userName, fields(req, 'password').join())
    if (!account) return void res.status(422).send(signInPage(identity, { uid, occasion: 'failed', userName }))
    const login = { accountId: account.accountId, amr: ['pwd'], remember: false }
    await provider.interactionFinished(req, res, { login })
  })

  router.post('/interaction/:uid/consent', form, async (req, res) => {
    const details = await provider.interactionDetails(req, res)
    const grantId = await saveGrant(provider, details, fields(req, 'scope'))
    await provider.interactionFinished(req, res, { consent: { grantId } })
  })

  router.post('/interaction/:uid/refuse', async (req, res) => {
    await provider.interactionDetails(req, res)
    await provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'The person refused.' })
  })

  return router
}

function wishesOf({ params }: InteractionDetails): Wish[] {
  const asked = new Set(params['scope']?.split(' '))
  return WISHES.filter(({ scope }) => asked.has(scope))
}

/** Saves the scopes that the user allowed and refused. Without the refused ones, the provider would ask again. */
async function saveGrant(provider: Provider, details: InteractionDetails, ticked: readonly string[]): Promise<string> {
  const { session, params } = details
  const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId: params['client_id'] ?? '' })
  for (const { scope, necessity } of wishesOf(details)) {
    if (necessity === 'needed' || ticked.includes(scope)) grant.addOIDCScope(scope)
    else grant.rejectOIDCScope(scope)
  }
  return grant.save()
}

/** All values of a form field: none, one or several. */
function fields(req: Request, name: string): string[] {
  const body: unknown = req.body
  if (typeof body !== 'object' || body === null) return []
  return [Reflect.get(body, name)].flat().filter((value): value is string => typeof value === 'string')
}
