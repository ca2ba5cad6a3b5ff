import { isIP } from 'node:net'

/** What /etc/resolv.conf says of how names are looked up (resolv.conf(5)). */
export interface ResolverSettings {
  /** At most three, in order. */
  readonly servers: readonly { readonly address: string; readonly port: number }[]
  readonly search: readonly string[]
  /** How long one server may take, 1…30 s. */
  readonly timeoutMs: number
  /** How often all servers are tried, 1…5. */
  readonly attempts: number
}

const DNS_PORT = 53

/** Lines that say nothing that is known, or nothing sensible, are passed over, as resolvers do. */
export function readResolvConf(text: string): ResolverSettings {
  const servers: { address: string; port: number }[] = []
  let search: readonly string[] = []
  let timeoutMs = 5000
  let attempts = 2
  for (const line of text.split('\n')) {
    const [word, ...values] = line.replace(/[#;].*$/, '').trim().split(/\s+/)
    const [first = ''] = values
    // A scope (`fe80::1%eth0`) is part of the address.
    if (word === 'nameserver' && servers.length < 3 && isIP(first) !== 0) servers.push({ address: first, port: DNS_PORT })
    else if (word === 'search') search = values
    else if (word === 'domain') search = [first]
    else if (word === 'options') {
      for (const option of values) {
        const [name, value] = option.split(':')
        const number = Number(value)
        if (!Number.isInteger(number) || number < 1) continue
        if (name === 'timeout') timeoutMs = Math.min(number, 30) * 1000
        if (name === 'attempts') attempts = Math.min(number, 5)
      }
    }
  }
  return { servers, search: search.filter((one) => one !== ''), timeoutMs, attempts }
}
