import { CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, HEADERS, PREFACE, SETTINGS } from '#proxy/http/h2/frames.ts'

/** HTTP/2 as bytes, without a library that would refuse to send what must not be sent. */

/** Text is latin1: each character is a byte. */
export type Fields = readonly (readonly [name: string, value: string])[]

export function frame(type: number, flags: number, id: number, payload: Buffer | string = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  head.writeUIntBE(bytes.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, bytes])
}

/** An integer with a prefix of 7 bits (RFC 7541 §5.1). */
function integer(value: number): number[] {
  if (value < 127) return [value]
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return [...bytes, rest]
}

/** Fields as literals that no table remembers (RFC 7541 §6.2.2), whatever they hold. */
export function section(fields: Fields): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0, ...integer(name.length)]), Buffer.from(name, 'latin1'), Buffer.from(integer(value.length)), Buffer.from(value, 'latin1')]),
  )
}

export const headers = (id: number, fields: Fields, ends = true): Buffer => frame(HEADERS, END_HEADERS | (ends ? END_STREAM : 0), id, section(fields))

/** The same in two frames. */
export function headersInTwo(id: number, fields: Fields, between: Buffer = Buffer.alloc(0)): Buffer {
  const all = section(fields)
  const half = all.length >> 1
  return Buffer.concat([frame(HEADERS, END_STREAM, id, all.subarray(0, half)), between, frame(CONTINUATION, END_HEADERS, id, all.subarray(half))])
}

export const data = (id: number, text: Buffer | string, ends = true): Buffer => frame(DATA, ends ? END_STREAM : 0, id, text)

/** What a client says first. */
export const hello = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)])
