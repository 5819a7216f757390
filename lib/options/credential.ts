/**
 * True for a client id or client secret: VSCHAR (RFC 6749 A.1, A.2). A space at its end is part of it. A space or line break
 * before it and a line break after it come from copying, or from a file that was read whole.
 */
export function isCredential(value: unknown): value is string {
  return typeof value === 'string' && /^[!-~][ -~]*$/.test(value)
}
