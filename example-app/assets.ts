import { fileURLToPath } from 'node:url'
import express, { type RequestHandler } from 'express'

const FOLDER = fileURLToPath(new URL('public', import.meta.url))

/** The style sheet, the mark and the one small script. Browsers cache them, but revalidate each time. */
export function serveAssets(): RequestHandler {
  return express.static(FOLDER, { setHeaders: (res) => res.set('Cache-Control', 'no-cache') })
}
