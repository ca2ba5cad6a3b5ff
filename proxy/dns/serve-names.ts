import type { Clock } from '#core/time/clock.ts'
import type { SocketAddress } from '#core/workload/workload.ts'
import { describeError, type Log } from '../admin/log.ts'
import type { PlanCell } from '../ads/plan-cell.ts'
import { DnsServer } from './dns-server.ts'
import { Forwarder } from './forwarder.ts'
import { NameBook } from './name-book.ts'
import { readResolvConf, type ResolverSettings } from './resolv-conf.ts'

const RESOLV_CONF = '/etc/resolv.conf'

export interface NameServing {
  readonly namespace: string
  /** Where look-ups arrive: of several, as many as there are here. */
  readonly addresses: readonly SocketAddress[]
  readonly readFile: (path: string) => string
}

/**
 * Answers look-ups from the names that the control plane tells. Until it has told any, the host's own resolvers answer all of them.
 * @throws Error when no address can be bound
 */
export async function serveNames(clock: Clock, cell: Pick<PlanCell, 'names' | 'onNames'>, { namespace, addresses, readFile }: NameServing, log: Log): Promise<DnsServer> {
  const settings = settingsOf(readFile, log)
  // A host whose resolver is this one has nobody else to ask.
  const servers = settings.servers.filter((one) => !addresses.some(({ address, port }) => address === one.address && port === one.port))
  if (servers.length === 0) log.warn('dns.no-resolvers', { file: RESOLV_CONF })
  const book = new NameBook(namespace, settings.search)
  const server = new DnsServer(book, new Forwarder(clock, { ...settings, servers }))
  let failure: unknown
  let bound = 0
  for (const at of addresses) {
    try {
      await server.listen(at, log)
      bound += 1
    } catch (error) {
      // A host without IPv6 has no ::1.
      failure = error
      log.warn('dns.not-bound', { ...at, error: describeError(error) })
    }
  }
  if (bound === 0) throw failure
  cell.onNames((name) => book.put(name, cell.names.get(name)))
  return server
}

function settingsOf(readFile: NameServing['readFile'], log: Log): ResolverSettings {
  try {
    return readResolvConf(readFile(RESOLV_CONF))
  } catch (error) {
    log.warn('dns.unreadable', { file: RESOLV_CONF, error: describeError(error) })
    return readResolvConf('')
  }
}
