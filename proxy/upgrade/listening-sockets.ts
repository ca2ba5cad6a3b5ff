import type { Server } from 'node:net'
import type { SocketAddress } from '#core/workload/workload.ts'
import { descriptorFor, descriptorOf, sharePort } from './descriptor.ts'

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

/** Listening sockets as other threads of this process know them. */
export const descriptorsOf = (listening: readonly (readonly [SocketAddress, Server])[]): { readonly key: string; readonly fd: number }[] =>
  listening.flatMap(([at, server]) => {
    const fd = descriptorOf(handleOf(server))
    return fd === undefined ? [] : [{ key: socketKey(at), fd }]
  })

/** Sockets taken over from the process before this one, by what they are bound to. Each is used once. */
export class ListeningSockets {
  readonly #handles = new Map<string, SocketHandle>()
  /** Of the threads that carried traffic beside the main one. */
  readonly #ofThreads: { readonly key: string; readonly handle: SocketHandle }[] = []

  put(key: string, handle: SocketHandle): void {
    this.#handles.set(key, handle)
  }

  take(at: SocketAddress): SocketHandle | undefined {
    const key = socketKey(at)
    const handle = this.#handles.get(key)
    this.#handles.delete(key)
    return handle
  }

  putOfThread(key: string, handle: SocketHandle): void {
    this.#ofThreads.push({ key, handle })
  }

  /** Sockets of an address for which there is no thread any more: connections may wait in them, and the kernel goes on to spread new ones over them. */
  takeOfThreads(at: SocketAddress): SocketHandle[] {
    const key = socketKey(at)
    const rest = this.#ofThreads.splice(0)
    this.#ofThreads.push(...rest.filter((one) => one.key !== key))
    return rest.flatMap((one) => (one.key === key ? [one.handle] : []))
  }

  /** Lets other threads bind the ports that one had for itself so far. */
  share(): void {
    for (const handle of this.#handles.values()) sharePort(handle)
  }

  /** Shares out what the threads before had: to each of `count` one socket of an address at most. Those for which there is no thread are left to `takeOfThreads`. */
  forThreads(count: number): { readonly key: string; readonly fd: number }[][] {
    const shares: { key: string; fd: number }[][] = Array.from({ length: count }, () => [])
    const rest = this.#ofThreads.splice(0)
    for (const { key, handle } of rest) {
      const share = shares.find((one) => !one.some((socket) => socket.key === key))
      const fd = share === undefined ? undefined : descriptorFor(handle)
      if (share === undefined) this.#ofThreads.push({ key, handle })
      else if (fd !== undefined) share.push({ key, fd })
    }
    return shares
  }

  /** The configuration has no use for those that are left. */
  closeRest(): void {
    for (const handle of this.#handles.values()) handle.close()
    this.#handles.clear()
    for (const { handle } of this.#ofThreads.splice(0)) handle.close()
  }
}
