/** A range of addresses; IPv4 is a part of IPv6 (::ffff:0:0/96, RFC 4291 §2.5.5.2), so one form serves both. */
export interface Cidr {
  readonly words: string
  /** Bits that count, of 128: the more, the more specific. */
  readonly bits: number
  matches(address: string): boolean
}

/** Compiles `10.0.0.0` and 8. Undefined when the address or the length is none. */
export function compileCidr(prefix: string, length: number): Cidr | undefined {
  const wanted = new Uint16Array(8)
  if (!parseAddress(prefix, wanted)) return undefined
  const isV4 = !prefix.includes(':')
  if (!Number.isInteger(length) || length < 0 || length > (isV4 ? 32 : 128)) return undefined
  const bits = isV4 ? length + 96 : length
  // One parse buffer per range: matching is synchronous and allocates nothing.
  const parsed = new Uint16Array(8)
  return { words: `${prefix}/${length}`, bits, matches: (address) => parseAddress(address, parsed) && sameBits(wanted, parsed, bits) }
}

function sameBits(a: Uint16Array, b: Uint16Array, bits: number): boolean {
  for (let group = 0, left = bits; left > 0; group++, left -= 16) {
    const mask = left >= 16 ? 0xffff : (0xffff << (16 - left)) & 0xffff
    if ((((a[group] ?? 0) ^ (b[group] ?? 0)) & mask) !== 0) return false
  }
  return true
}

/** Whether a text is an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  return parseAddress(text, new Uint16Array(8))
}

/** Eight groups of an IPv4 or IPv6 address into `into`; false when it is neither. A zone (`%eth0`) is no part of an address. */
function parseAddress(text: string, into: Uint16Array): boolean {
  if (!text.includes(':')) {
    into.fill(0)
    into[5] = 0xffff
    return parseV4(text, 0, into, 6)
  }
  return parseV6(text, into)
}

/** Four decimal numbers without leading zeros, into two groups. */
function parseV4(text: string, from: number, into: Uint16Array, group: number): boolean {
  let value = 0
  let digits = 0
  let parts = 0
  let high = 0
  for (let at = from; at <= text.length; at++) {
    const code = at === text.length ? 46 : text.charCodeAt(at)
    if (code === 46) {
      if (digits === 0 || value > 255) return false
      parts += 1
      if (parts > 4) return false
      if (parts % 2 === 1) high = value
      else into[group + parts / 2 - 1] = (high << 8) | value
      value = 0
      digits = 0
    } else if (code >= 48 && code <= 57) {
      if (digits > 0 && value === 0) return false
      value = value * 10 + code - 48
      digits += 1
      if (digits > 3) return false
    } else return false
  }
  return parts === 4
}

/** RFC 4291 §2.2: groups of hex, `::` once, an IPv4 address in place of the last two. */
function parseV6(text: string, into: Uint16Array): boolean {
  into.fill(0)
  let group = 0
  let gap = -1
  let at = 0
  if (text.startsWith('::')) {
    gap = 0
    at = 2
  }
  while (at < text.length) {
    let value = 0
    const start = at
    for (; at < text.length; at++) {
      const digit = hexDigit(text.charCodeAt(at))
      if (digit < 0) break
      value = value * 16 + digit
    }
    if (text.charCodeAt(at) === 46 && group <= 6) {
      if (!parseV4(text, start, into, group)) return false
      group += 2
      break
    }
    if (at === start || at - start > 4 || group > 7) return false
    into[group] = value
    group += 1
    if (at === text.length) break
    if (text.charCodeAt(at) !== 58) return false
    at += 1
    if (text.charCodeAt(at) === 58) {
      if (gap >= 0) return false
      gap = group
      at += 1
    } else if (at === text.length) return false
  }
  if (gap < 0) return group === 8
  if (group > 7) return false
  into.copyWithin(8 - (group - gap), gap, group)
  into.fill(0, gap, 8 - (group - gap))
  return true
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** An address as every program writes it (RFC 5952 for IPv6); the text itself where it is none. */
export const plainAddress = (address: string): string => (address.includes(':') ? maskAddress(address, 128).replace(/\/128$/, '') : address)

/** The network of an address, `192.0.2.0/24`; the address itself where it is none. */
export function maskAddress(address: string, length: number): string {
  const groups = new Uint16Array(8)
  if (!parseAddress(address, groups)) return address
  const isV4 = !address.includes(':')
  const bits = isV4 ? length + 96 : length
  for (let group = 0; group < 8; group++) {
    const left = Math.max(0, Math.min(16, bits - 16 * group))
    groups[group] = (groups[group] ?? 0) & ((0xffff << (16 - left)) & 0xffff)
  }
  return `${isV4 ? formatV4(groups) : formatV6(groups)}/${length}`
}

const formatV4 = (groups: Uint16Array): string => [...groups.subarray(6)].map((group) => `${group >> 8}.${group & 0xff}`).join('.')

/** RFC 5952 §4: lower case, and the first longest run of two or more zero groups as `::`. */
function formatV6(groups: Uint16Array): string {
  const text = [...groups].map((group) => group.toString(16)).join(':')
  const longest = (text.match(/(?:^|:)0(?::0)+(?=:|$)/g) ?? []).reduce((best, run) => (run.length > best.length ? run : best), '')
  if (longest === '') return text
  const start = text.search(new RegExp(`(?:^|:)${longest.replace(/^:/, '')}(?=:|$)`))
  return `${text.slice(0, start)}::${text.slice(start + longest.length).replace(/^:/, '')}`
}
