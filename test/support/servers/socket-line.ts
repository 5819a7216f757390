import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A line to a server's unix socket, which can break. */
export interface SocketLine {
  /** The folder that the near end is in; `path` is the near end itself. */
  readonly folder: string
  readonly path: string
  /** The server is gone: connections end, and no new one is made. */
  cut(): Promise<void>
  /** The server is there, takes every connection and never says a word. */
  mute(): void
  /** All is well again. */
  mend(): Promise<void>
  stop(): Promise<void>
}

/** Lays a line to the unix socket of a server; its near end has the name given. */
export async function laySocketLine(target: string, name: string): Promise<SocketLine> {
  const folder = await mkdtemp(join(tmpdir(), 'oidc-line-'))
  const path = join(folder, name)
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let isMute = false

  function bridge(near: Socket): void {
    const far = connect(target)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    near.on('data', (chunk) => isMute || far.write(chunk))
    far.on('data', (chunk) => isMute || near.write(chunk))
  }

  async function cut(): Promise<void> {
    const closed = server === undefined ? undefined : once(server, 'close')
    server?.close()
    server = undefined
    for (const socket of sockets) socket.destroy()
    await closed
  }

  async function mend(): Promise<void> {
    // A connection that has lost words on its way is of no use any more.
    if (isMute) for (const socket of sockets) socket.destroy()
    isMute = false
    if (server !== undefined) return
    server = createServer(bridge).listen(path)
    await once(server, 'listening')
  }

  await mend()
  return {
    folder,
    path,
    cut,
    mend,
    mute() {
      isMute = true
    },
    async stop() {
      await cut()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
