import type { Wire } from './socket.ts'

/** A body as HTTP/1.1 frames it, either way: in chunks (RFC 9112 §7.1), or as it is where its length was said or there is none. */

/** Copied before this returns; `bytes[start, end)` are not empty: a chunk of no bytes would be the end. */
export function putBody(wire: Wire, chunked: boolean, bytes: Buffer, start: number, end: number): void {
  if (!chunked) return wire.putBytes(bytes, start, end)
  wire.put(`${(end - start).toString(16)}\r\n`)
  wire.putBytes(bytes, start, end)
  wire.put('\r\n')
}

/** `trailers`: lines with their CRLFs, for which there is a place behind chunks alone. */
export function putEnd(wire: Wire, chunked: boolean, trailers: string): void {
  if (chunked) wire.put(`0\r\n${trailers}\r\n`)
}
