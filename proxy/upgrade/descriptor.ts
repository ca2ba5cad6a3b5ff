import { closeSync } from 'node:fs'
import net from 'node:net'
import type { SocketHandle } from './listening-sockets.ts'

/** linux/fcntl.h */
const F_DUPFD_CLOEXEC = 1030
/** asm-generic/socket.h */
const [SOL_SOCKET, SO_REUSEPORT] = [1, 15]

type Fcntl = (fd: number, command: number, argument: number) => number

const library: { fcntl?: Fcntl } = {}

/** From the C library that the process has already; Node's door to it is experimental, so that only a proxy of several threads opens it, and only when it is replaced. */
const fcntl = (): Fcntl => (library.fcntl ??= process.getBuiltinModule('node:ffi').dlopen(null, { fcntl: { return: 'i32', arguments: ['i32', 'i32', 'i32'] } }).functions.fcntl)

/** Another descriptor of the same socket, which no program that is started inherits. Undefined: there is no such socket any more, or this is not Linux. */
function duplicate(fd: number): number | undefined {
  if (process.platform !== 'linux') return undefined
  const copy = fcntl()(fd, F_DUPFD_CLOEXEC, 0)
  return copy < 0 ? undefined : copy
}

/** Lets sockets of other threads be bound to the port that this one is bound to, as if it had been opened so. Nothing where there is no such socket, and but on Linux. */
export function sharePort(handle: SocketHandle): void {
  const fd = descriptorOf(handle)
  if (process.platform !== 'linux' || fd === undefined) return
  const { setsockopt } = process.getBuiltinModule('node:ffi').dlopen(null, { setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'] } }).functions
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, new Uint8Array(new Int32Array([1]).buffer), 4)
}

/** A listening socket of another thread, as it can be sent to another process; the thread keeps its own. */
export function handleOfDescriptor(fd: number): SocketHandle | undefined {
  const copy = duplicate(fd)
  if (copy === undefined) return undefined
  const { _handle: handle } = new net.Socket({ fd: copy, readable: false, writable: false }) as net.Socket & { _handle?: SocketHandle }
  return handle
}

/** The descriptor under a handle; Node keeps it in a place of its own, and offers no other. */
export function descriptorOf(handle: SocketHandle | undefined): number | undefined {
  const fd: unknown = handle === undefined ? undefined : Reflect.get(handle, 'fd')
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}

/** What a thread is given of a socket that came by a handle, which is closed. */
export function descriptorFor(handle: SocketHandle): number | undefined {
  const fd = descriptorOf(handle)
  const copy = fd === undefined ? undefined : duplicate(fd)
  handle.close()
  return copy
}

/** A descriptor as `server.listen` takes it. */
export const handleFrom = (fd: number): SocketHandle & { readonly fd: number } => ({ fd, close: () => closeSync(fd) })
