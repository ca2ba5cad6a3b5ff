
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
// Istio reads host names without regard to case.
const HOST_LABEL = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/
const WILDCARD_LABEL = /^(\*|(\*-?)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)$/

/** RFC 1123 label, at most 63 octets: a namespace, a Service. */
export const isDnsLabel = (text: string): boolean => DNS_LABEL.test(text)

/** RFC 1123 subdomain, at most 253 octets: an object's name. */
export const isDnsSubdomain = (text: string): boolean => text.length <= 253 && DNS_SUBDOMAIN.test(text)

/** What keeps `text` from being a domain name without wildcards; undefined when nothing does. */
export function domainComplaint(text: string): string | undefined {
  if (text === '') return 'an empty domain name is not allowed'
  if (text.length > 255) return 'a domain name has at most 255 octets'
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.')
  if (/^\d+$/.test(text.slice(text.lastIndexOf('.') + 1))) return 'the last label of a domain name is not a number'
  const wrong = labels.find((label) => !HOST_LABEL.test(label))
  return wrong === undefined ? undefined : `the label ${JSON.stringify(wrong)} of the domain name is not valid`
}

/** Like `domainComplaint`, for names whose first label may be a wildcard or begin with one: `*.example.com`, `*`, `*-shop.example.com`. */
export function wildcardDomainComplaint(text: string): string | undefined {
  if (text === '') return 'an empty domain name is not allowed'
  if (text.length > 255) return 'a domain name has at most 255 octets'
  const [first = '', ...rest] = text.split('.')
  if (first.length > 63 || !WILDCARD_LABEL.test(first)) return `the label ${JSON.stringify(first)} of the domain name is not valid`
  return rest.length === 0 ? undefined : rest.join('.').includes('*') ? 'a wildcard stands in the first label only' : domainComplaint(rest.join('.'))
}

/** Whether some host could match both: equal, or one a wildcard that covers (part of) the other. */
export function hostsOverlap(a: string, b: string): boolean {
  const left = a.toLowerCase()
  const right = b.toLowerCase()
  const wildLeft = left.startsWith('*')
  const wildRight = right.startsWith('*')
  if (wildLeft && wildRight) return left.slice(1).endsWith(right.slice(1)) || right.slice(1).endsWith(left.slice(1))
  if (wildLeft) return right.endsWith(left.slice(1))
  if (wildRight) return left.endsWith(right.slice(1))
  return left === right
}
