import { ProviderError } from '../errors.ts'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject, parseJson } from '../json-object.ts'
import type { AnswerHead } from './http-transport.ts'

/** A complete answer of the provider. */
export interface HttpAnswer {
  /** 200 to 299, 304, or 400 to 599. */
  readonly status: number
  readonly headers: Headers
  /** At most 1 MiB. */
  readonly body: Uint8Array
}

/** A key set or a discovery document is a few kilobytes; claims of somebody with very many groups stay below this. */
const MAX_BODY_BYTES = 1_048_576

/**
 * Reads an answer to its end, unless its head or its size forbids it: `ERR_OIDC_PROVIDER_REDIRECT`,
 * `ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE` or `ERR_OIDC_PROVIDER_RESPONSE_INVALID`.
 *
 * @param place The URL that was asked, without its query.
 */
export async function readAnswer(head: AnswerHead, place: string): Promise<HttpAnswer> {
  const { status, headers } = head
  checkStatus(status, place)
  if (!/^(identity)?$/i.test(headers.get('content-encoding') ?? '')) throw invalid(place, 'is compressed, unasked')
  if (Number(headers.get('content-length')) > MAX_BODY_BYTES) throw tooLarge(place)
  return { status, headers, body: await readBody(head.body, place) }
}

/** The JSON value that an answer holds, frozen; `undefined` where its content type or its body is something else. */
export function jsonValueOf({ headers, body }: HttpAnswer): Json | undefined {
  const isJson = /^application\/([\w.+-]+\+)?json *(;|$)/i.test(headers.get('content-type') ?? '')
  return isJson ? parseJson(body) : undefined
}

/** The JSON object that an answer holds, frozen; `undefined` where its content type or its body is something else. */
export function jsonOf(answer: HttpAnswer): JsonObject | undefined {
  const value = jsonValueOf(answer)
  return isObject(value) ? value : undefined
}

/**
 * The JSON object that a document of the provider must hold: `ERR_OIDC_PROVIDER_RESPONSE_INVALID` where it does not.
 *
 * @param place The URL that was asked, without its query.
 */
export function readJson(answer: HttpAnswer, place: string): JsonObject {
  const json = jsonOf(answer)
  if (json === undefined) throw invalid(place, 'is not a JSON object with a JSON content type')
  return json
}

function checkStatus(status: number, place: string): void {
  // Whoever could make the provider's address redirect would otherwise choose where our credentials go.
  if (status >= 300 && status < 400 && status !== 304) {
    throw new ProviderError('ERR_OIDC_PROVIDER_REDIRECT', `${place} answered with a redirect, which is not followed.`)
  }
  if (!(status >= 200 && status < 600)) throw invalid(place, 'has a status that HTTP does not know')
}

async function readBody(body: AsyncIterable<Uint8Array>, place: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    // Not `>`: the chunks of a stream that is not one of bytes have no length, and their sum is no number.
    if (!(size <= MAX_BODY_BYTES)) throw tooLarge(place)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

function tooLarge(place: string): ProviderError {
  return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE', `The answer of ${place} is larger than 1 MiB.`)
}

function invalid(place: string, fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_PROVIDER_RESPONSE_INVALID', `The answer of ${place} ${fault}.`)
}
