import { readFile } from 'node:fs/promises'
import type { ClientChanges } from '../client-metadata.ts'
import { textOf, type Values } from './arguments.ts'
import { UsageError } from './surroundings.ts'

/** The members of a client that have an option of their own. */
const OPTIONS: Readonly<Record<string, string>> = {
  name: 'client_name',
  'redirect-uri': 'redirect_uris',
  'post-logout-redirect-uri': 'post_logout_redirect_uris',
  'response-type': 'response_types',
  'grant-type': 'grant_types',
  'auth-method': 'token_endpoint_auth_method',
  'application-type': 'application_type',
  'initiate-login-uri': 'initiate_login_uri',
}

/** The members that a call names: those of `--metadata`, and over them those with options of their own. */
export async function readMembers(values: Values): Promise<ClientChanges> {
  const path = textOf(values, 'metadata')
  const members = path === undefined ? {} : await readObject(path)
  const given = Object.entries(OPTIONS).filter(([option]) => values[option] !== undefined)
  return { ...members, ...Object.fromEntries(given.map(([option, member]) => [member, values[option]])) }
}

async function readObject(path: string): Promise<ClientChanges> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Told below: the error of a JSON parser holds a piece of the file.
  }
  throw new UsageError('--metadata cannot be read, or is no JSON object.')
}
