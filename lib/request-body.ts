import { OidcError } from './errors.ts'
import { headerOf, type Request } from './http.ts'

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i
const LONGEST_FORM = 128 * 1024
/**
 * The fields of a posted form, whether a body parser has read it or not. Throws `ERR_OIDC_CALLBACK_INVALID` for another
 * content type, for more than 128 KiB, and for fields that are not plain text.
 */
export async function readForm(req: Request): Promise<URLSearchParams> {
  if (!FORM.test(headerOf(req, 'content-type') ?? '')) throw invalidForm('The body is not a form.')
  // Some body parsers set `body` to an empty object without having read anything: what was read decides.
  return req.readableDidRead ? parsedForm(req.body) : new URLSearchParams(await readText(req))
}

async function readText(req: Request): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of req) {
      size += chunk.length
      if (size > LONGEST_FORM) throw invalidForm('The form is too long.')
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof OidcError ? error : invalidForm('The form has not come in full.')
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsedForm(body: unknown): URLSearchParams {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return new URLSearchParams(body.toString())
  if (typeof body !== 'object' || body === null) throw invalidForm('The body was read, but not kept in req.body.')
  const fields = new URLSearchParams()
  for (const [name, value] of Object.entries(body)) {
    for (const one of [value].flat()) fields.append(name, plainText(one))
  }
  return fields
}

function plainText(value: unknown): string {
  if (typeof value !== 'string') throw invalidForm('A field of the form is not plain text.')
  return value
}

function invalidForm(message: string): OidcError {
  return new OidcError('ERR_OIDC_CALLBACK_INVALID', message)
}

/**
 * The value of a posted JSON body, whether a body parser has read it or not. Throws `ERR_OIDC_CALLBACK_INVALID` where it is
 * none, or longer than 128 KiB.
 */
export async function readJsonBody(req: Request): Promise<unknown> {
  if (!/^application\/json\s*(?:;|$)/i.test(headerOf(req, 'content-type') ?? ''))
    throw invalidForm('The body is not JSON.')
  if (req.readableDidRead)
    return typeof req.body === 'string' || Buffer.isBuffer(req.body) ? parse(String(req.body)) : req.body
  return parse(await readText(req))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidForm('The body is not JSON.')
  }
}
