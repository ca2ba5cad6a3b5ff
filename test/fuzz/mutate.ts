import type { Random } from '#core/time/clock.ts'

const BYTES_MAX = 1024
/** What parsers trip over. */
const TELLING = ['\r\n', '\n', '\r', '\0', ' ', ':', ';', ',', '\t', '0', 'ffffffff', '-1', '\xff\xff\xff\xff', '\x7f', '\x80', 'chunked', 'Content-Length: 1\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: a\r\n', '\0\0\0', '\x01'].map((text) => Buffer.from(text, 'latin1'))

const below = (random: Random, count: number): number => Math.floor(random.draw() * count)

/** One of the inputs with a few changes, or two of them spliced. */
export function mutated(random: Random, inputs: readonly Buffer[]): Buffer {
  const pick = (): Buffer => inputs[below(random, inputs.length)] ?? Buffer.alloc(0)
  let bytes = pick()
  for (let changes = 1 + below(random, 6); changes > 0; changes--) {
    const at = below(random, bytes.length + 1)
    const length = 1 + below(random, Math.min(32, bytes.length + 1))
    switch (below(random, 6)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), TELLING[below(random, TELLING.length)] ?? Buffer.alloc(0), bytes.subarray(at)])
        break
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)])
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), pick().subarray(below(random, 64))])
        break
      case 4:
        bytes = Buffer.concat([bytes, pick()])
        break
      default:
        bytes = Buffer.from(bytes)
        if (bytes.length > 0) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << below(random, 8))
    }
  }
  return bytes.subarray(0, BYTES_MAX)
}

/** The same bytes in pieces. */
export function cut(random: Random, bytes: Buffer): Buffer[] {
  const at = Array.from({ length: 1 + below(random, 6) }, () => below(random, bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...at].map((from, nth) => bytes.subarray(from, at[nth] ?? bytes.length))
}
