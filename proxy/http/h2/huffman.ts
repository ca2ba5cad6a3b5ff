/**
 * The string code of HPACK (RFC 7541 §5.2, Appendix B). The code is canonical: codes grow with their length and, within a length, with the symbol,
 * so that the symbols by length say everything.
 */

const EOS = 256
const text = (letters: string): number[] => Array.from(letters, (letter) => letter.charCodeAt(0))
const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i)

const symbolsByLength: readonly (readonly [bits: number, symbols: readonly number[]])[] = [
  [5, text('012aceiost')],
  [6, text(' %-./3456789=A_bdfghlmnpru')],
  [7, text(':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz')],
  [8, text('&*,;XZ')],
  [10, text('!"()?')],
  [11, text("'+|")],
  [12, text('#>')],
  [13, text('\0$@[]~')],
  [14, text('^}')],
  [15, text('<`{')],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [22, [129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233]],
  [23, [1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239]],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254]],
  [28, [...range(2, 8), 11, 12, ...range(14, 21), ...range(23, 31), 127, 220, 249]],
  [30, [10, 13, 22, EOS]],
]

const codes = new Uint32Array(257)
const lengths = new Uint8Array(257)
let next = 0
let lengthBefore = 5
for (const [bits, symbols] of symbolsByLength) {
  next <<= bits - lengthBefore
  lengthBefore = bits
  for (const symbol of symbols) {
    codes[symbol] = next++
    lengths[symbol] = bits
  }
}

/** Decoding takes four bits at a time. A state is a node of the code's tree; per state and nibble: the next state, and what came out of it. */
const EMITS = 1 << 8
const FAILS = 1 << 9
const STATE_SHIFT = 16
interface Machine {
  readonly transitions: Uint32Array
  readonly accepting: Uint8Array
}
/** Built for the first string: a start waits for it otherwise, whether HTTP/2 is spoken or not. */
const built: { machine: Machine | undefined } = { machine: undefined }

function buildMachine(): Machine {
  // Nodes hold their two children: above zero a node, below zero a symbol (-1 - symbol).
  const children: [number, number][] = [[0, 0]]
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0
    for (let bit = lengths[symbol]! - 1; bit >= 0; bit--) {
      const side = (codes[symbol]! >>> bit) & 1
      const pair = children[node]!
      if (bit === 0) pair[side] = -1 - symbol
      else {
        if (pair[side] === 0) pair[side] = children.push([0, 0]) - 1
        node = pair[side]!
      }
    }
  }
  const transitions = new Uint32Array(children.length * 16)
  for (let state = 0; state < children.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state
      let result = 0
      for (let bit = 3; bit >= 0; bit--) {
        const child = children[node]![(nibble >> bit) & 1]!
        if (child >= 0) node = child
        else {
          const symbol = -1 - child
          // A string that contains EOS is an error (§5.2).
          result |= symbol === EOS ? FAILS : EMITS | symbol
          node = 0
        }
      }
      transitions[state * 16 + nibble] = (node << STATE_SHIFT) | result
    }
  }
  // Padding is the beginning of EOS, ones, and shorter than a byte (§5.2).
  const accepting = new Uint8Array(children.length)
  let node = 0
  for (let depth = 0; depth < 8; depth++) {
    accepting[node] = 1
    node = children[node]![1]
  }
  return { transitions, accepting }
}

/** Decodes `bytes[start, end)` into `out`, which must hold 8/5 of their number; answers the length, or -1 when it is no such string. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  const { transitions, accepting } = (built.machine ??= buildMachine())
  let state = 0
  let length = 0
  for (let p = start; p < end; p++) {
    const byte = bytes[p]!
    const high = transitions[state * 16 + (byte >> 4)]!
    if (high & EMITS) out[length++] = high & 0xff
    const low = transitions[(high >>> STATE_SHIFT) * 16 + (byte & 15)]!
    if (low & EMITS) out[length++] = low & 0xff
    if ((high | low) & FAILS) return -1
    state = low >>> STATE_SHIFT
  }
  return accepting[state] === 1 ? length : -1
}

/** Encoded length of latin1 text, bytes. */
export function huffmanLength(value: string): number {
  let bits = 0
  for (let i = 0; i < value.length; i++) bits += lengths[value.charCodeAt(i) & 0xff]!
  return (bits + 7) >> 3
}

/** Encodes latin1 text to `out` from `at`, which must have `huffmanLength` bytes of room; answers where it ended. */
export function encodeHuffman(value: string, out: Uint8Array, at: number): number {
  let p = at
  let pending = 0
  let have = 0
  for (let i = 0; i < value.length; i++) {
    const symbol = value.charCodeAt(i) & 0xff
    let left = lengths[symbol]!
    const code = codes[symbol]!
    // At most 23 bits are pending at once, so that they fit a small integer.
    while (left > 0) {
      const take = Math.min(left, 16)
      pending = (pending << take) | ((code >>> (left - take)) & ((1 << take) - 1))
      have += take
      left -= take
      while (have >= 8) {
        have -= 8
        out[p++] = pending >>> have
        pending &= (1 << have) - 1
      }
    }
  }
  if (have > 0) out[p++] = ((pending << (8 - have)) | ((1 << (8 - have)) - 1)) & 0xff
  return p
}
