import { isIp } from './address.ts'
import { domainComplaint } from './host-name.ts'

/** What keeps `text` from being HOST:PORT (an IPv6 address in brackets); undefined when nothing does. */
export function hostPortComplaint(text: string): string | undefined {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text)
  if (parts === null) return 'HOST:PORT'
  const port = Number(parts[3])
  if (port < 1 || port > 65535) return 'a port in 1..65535'
  const host = parts[1] ?? parts[2] ?? ''
  return isIp(host) || domainComplaint(host) === undefined ? undefined : 'a host name or IP address before the port'
}
