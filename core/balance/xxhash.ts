/**
 * XXH64 (Yann Collet, xxHash specification 0.1.1, §"XXH64 algorithm description"): what Envoy hashes header values, addresses and ring points with, so that one key leads to
 * the same endpoint from either engine. Arithmetic is modulo 2^64 over BigInt: about two microseconds for a short key, and only requests with a hash policy pay it.
 */

const MASK = 0xffffffffffffffffn
const P1 = 0x9e3779b185ebca87n
const P2 = 0xc2b2ae3d27d4eb4fn
const P3 = 0x165667b19e3779f9n
const P4 = 0x85ebca77c2b2ae63n
const P5 = 0x27d4eb2f165667c5n

/** The hash of bytes, in [0, 2^64). */
function xxHash64(bytes: Uint8Array, seed = 0n): bigint {
  const { length } = bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  let at = 0
  let hash: bigint
  if (length >= 32) {
    let a = (seed + P1 + P2) & MASK
    let b = (seed + P2) & MASK
    let c = seed
    let d = (seed - P1) & MASK
    for (; at + 32 <= length; at += 32) {
      a = round(a, view.getBigUint64(at, true))
      b = round(b, view.getBigUint64(at + 8, true))
      c = round(c, view.getBigUint64(at + 16, true))
      d = round(d, view.getBigUint64(at + 24, true))
    }
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & MASK
    for (const lane of [a, b, c, d]) hash = ((hash ^ round(0n, lane)) * P1 + P4) & MASK
  } else hash = (seed + P5) & MASK
  hash = (hash + BigInt(length)) & MASK
  for (; at + 8 <= length; at += 8) hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * P1 + P4) & MASK
  if (at + 4 <= length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * P1) & MASK), 23n) * P2 + P3) & MASK
    at += 4
  }
  for (; at < length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at] ?? 0) * P5) & MASK), 11n) * P1) & MASK
  hash = ((hash ^ (hash >> 33n)) * P2) & MASK
  hash = ((hash ^ (hash >> 29n)) * P3) & MASK
  return hash ^ (hash >> 32n)
}

function round(lane: bigint, input: bigint): bigint {
  return (rotate((lane + input * P2) & MASK, 31n) * P1) & MASK
}

function rotate(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (64n - by))) & MASK
}

/** The hash of a header's text: the bytes that came over the wire, which heads hold one to a character. */
export function xxHash64Text(text: string, seed = 0n): bigint {
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  return xxHash64(bytes, seed)
}
