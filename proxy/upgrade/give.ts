import { keyPem } from '../identity/certificate.ts'
import type { Proxy } from '../start.ts'
import { handleOfDescriptor } from './descriptor.ts'
import { handleOf, type SocketHandle, socketKey } from './listening-sockets.ts'
import type { Given, GivenThreads } from './messages.ts'

/** Tells all that a successor of this proxy needs. The sockets stay open here too: until this proxy stops, both accept. */
export function give(proxy: Proxy, tell: (given: Given, handle?: SocketHandle) => void): void {
  const certificate = proxy.identity.now
  if (certificate !== undefined) tell({ kind: 'identity', chain: [certificate.chainPem, certificate.rootsPem], keyPem: keyPem(certificate.key) })
  for (const [at, server] of proxy.listening()) {
    const handle = handleOf(server)
    if (handle !== undefined) tell({ kind: 'socket', key: socketKey(at) }, handle)
  }
  tell({ kind: 'all-given' })
}

/** Gives the sockets of the threads, each of which has connections of its own that wait to be accepted. */
export async function giveThreads(proxy: Proxy, tell: (given: GivenThreads, handle?: SocketHandle, sent?: () => void) => void): Promise<void> {
  for (const { key, fd } of await proxy.listeningThreads()) {
    const handle = handleOfDescriptor(fd)
    if (handle !== undefined) tell({ kind: 'thread-socket', key }, handle, () => handle.close())
  }
  tell({ kind: 'threads-given' })
}
