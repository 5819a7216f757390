/**
 * Decodes one part of a token. `undefined` where it is empty or not base64url: Node skips what is not, and here there is
 * one spelling for each value (RFC 7515 2, RFC 4648 3.5).
 */
export function decodeBase64url(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}
