import type { Server } from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'

/** A bound socket as Node passes it between processes (its libuv handle); `server.listen` takes it in the place of an address. */
export interface SocketHandle {
  close(): void
}

/** What binds a port: by its address as the configuration says it, port 0 included. */
export const socketKey = ({ address, port }: SocketAddress): string => `${address} ${port}`

/**
 * The socket under a listening server. Public words send servers alone, and a server that is received accepts at once, before anybody serves:
 * the handle waits until it is listened on (it is what node:cluster sends).
 */
export const handleOf = (server: Server): SocketHandle | undefined => (server as Server & { _handle?: SocketHandle })._handle

/** Sockets taken over from the process before this one, by what they are bound to. Each is used once. */
export class ListeningSockets {
  readonly #handles = new Map<string, SocketHandle>()

  put(key: string, handle: SocketHandle): void {
    this.#handles.set(key, handle)
  }

  take(at: SocketAddress): SocketHandle | undefined {
    const key = socketKey(at)
    const handle = this.#handles.get(key)
    this.#handles.delete(key)
    return handle
  }

  /** The configuration has no use for those that are left. */
  closeRest(): void {
    for (const handle of this.#handles.values()) handle.close()
    this.#handles.clear()
  }
}
