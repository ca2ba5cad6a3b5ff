/**
 * Whether a DNS name of a certificate is one for a host: the same, whatever the case of its letters, or one whose first label is `*`, which stands for one label (RFC 6125 §6.4.3; so does Envoy).
 * @param certified as it stands in the certificate
 */
export function certifiesHost(certified: string, host: string): boolean {
  const [name, wanted] = [certified.toLowerCase(), host.toLowerCase()]
  if (name === wanted) return true
  if (!name.startsWith('*.') || name === '*.') return false
  const dot = wanted.indexOf('.')
  return dot > 0 && wanted.slice(dot) === name.slice(1)
}
