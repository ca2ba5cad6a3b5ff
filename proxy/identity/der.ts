/** The few forms of DER (ITU-T X.690 §8–11) that a certificate request is made of. Each function gives the whole element: tag, length, content. */

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_IDENTIFIER = 0x06
const TRUE = Buffer.of(0x01, 0x01, 0xff)

function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(tag), lengthOctets(content.length), content])
}

/** Short form below 128, else the long form with as few octets as will do (§8.1.3, §10.1). */
function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return Buffer.of(0x80 | octets.length, ...octets)
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => element(SEQUENCE, ...items)
export const set = (...items: readonly Uint8Array[]): Buffer => element(SET, ...items)
export const octetString = (content: Uint8Array): Buffer => element(OCTET_STRING, content)
export const booleanTrue = (): Buffer => TRUE

/** 0..127, all that a version number needs. */
export const smallInteger = (value: number): Buffer => element(INTEGER, Buffer.of(value))

/** Whole octets: the count of unused bits is 0. */
export const bitString = (content: Uint8Array): Buffer => element(BIT_STRING, Buffer.of(0), content)

/** Context-specific and constructed: `[0] IMPLICIT SET OF …` */
export const contextConstructed = (tag: number, ...items: readonly Uint8Array[]): Buffer => element(0xa0 | tag, ...items)

/** Context-specific and primitive: `[6] IMPLICIT IA5String`. */
export const contextPrimitive = (tag: number, content: Uint8Array): Buffer => element(0x80 | tag, content)

/** `1.2.840.10045.4.3.2`: the first two arcs share an octet, the others are base 128 (§8.19). */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number)
  const octets = [first * 40 + second]
  for (const arc of arcs) {
    const digits = [arc % 128]
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) | 0x80)
    octets.push(...digits)
  }
  return element(OBJECT_IDENTIFIER, Buffer.from(octets))
}
