const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`)

const isIpv4 = (text: string): boolean => IPV4.test(text)

/** RFC 4291 §2.2: eight groups of hex digits, one run of zeros as `::`, an IPv4 address in the last two. */
function isIpv6(text: string): boolean {
  if (text.length > 45 || !text.includes(':')) return false
  const halves = text.split('::')
  if (halves.length > 2) return false
  let groups = 0
  for (const [at, half] of halves.entries()) {
    if (half === '') continue
    const parts = half.split(':')
    for (const [index, part] of parts.entries()) {
      const last = at === halves.length - 1 && index === parts.length - 1
      if (last && isIpv4(part)) groups += 2
      else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups += 1
      else return false
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8
}

export const isIp = (text: string): boolean => isIpv4(text) || isIpv6(text)

/** An address block with its prefix length, `10.0.0.0/8`. */
export function isCidr(text: string): boolean {
  const cut = text.lastIndexOf('/')
  if (cut < 0) return false
  const bits = text.slice(cut + 1)
  const address = text.slice(0, cut)
  if (!/^(0|[1-9]\d{0,2})$/.test(bits)) return false
  return isIpv4(address) ? Number(bits) <= 32 : isIpv6(address) && Number(bits) <= 128
}
