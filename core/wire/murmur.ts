// The x86 variant of 128 bits works on 32-bit words, which JavaScript multiplies natively; the x64 one would need BigInt.
const c1 = 0x239b961b
const c2 = 0xab0e9789
const c3 = 0x38b34ae5
const c4 = 0xa1e38b93

/**
 * MurmurHash3_x86_128 (Austin Appleby, SMHasher) as 32 hex digits, words in order h1 to h4.
 * Fast and well spread, but not cryptographic.
 */
export function murmur128(bytes: Uint8Array, seed: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = bytes.byteLength
  let h1 = seed | 0
  let h2 = seed | 0
  let h3 = seed | 0
  let h4 = seed | 0
  let at = 0
  for (; at + 16 <= length; at += 16) {
    h1 ^= mix(view.getInt32(at, true), c1, 15, c2)
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0
    h2 ^= mix(view.getInt32(at + 4, true), c2, 16, c3)
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0
    h3 ^= mix(view.getInt32(at + 8, true), c3, 17, c4)
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0
    h4 ^= mix(view.getInt32(at + 12, true), c4, 18, c1)
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0
  }
  // Words of zeros mix to zero, so the tail can be treated as a block padded with them.
  h4 ^= mix(tailWord(bytes, at + 12), c4, 18, c1)
  h3 ^= mix(tailWord(bytes, at + 8), c3, 17, c4)
  h2 ^= mix(tailWord(bytes, at + 4), c2, 16, c3)
  h1 ^= mix(tailWord(bytes, at), c1, 15, c2)

  h1 ^= length
  h2 ^= length
  h3 ^= length
  h4 ^= length
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  h1 = avalanche(h1)
  h2 = avalanche(h2)
  h3 = avalanche(h3)
  h4 = avalanche(h4)
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = (h2 + h1) | 0
  h3 = (h3 + h1) | 0
  h4 = (h4 + h1) | 0
  return hex(h1) + hex(h2) + hex(h3) + hex(h4)
}

function mix(word: number, before: number, turn: number, after: number): number {
  return Math.imul(rotate(Math.imul(word, before), turn), after)
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

function avalanche(word: number): number {
  let h = word
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Four bytes, little-endian; those beyond the end are zero. */
function tailWord(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
