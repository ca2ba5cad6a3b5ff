import type { ProxyNode } from '#core/workload/node.ts'
import type { Report } from './window.ts'

/** Distinct calls of a mesh that are kept: who called least lately gives way. */
const CALLS_MAX = 1000

/** One kind of call, as the callers' proxies told it. */
export interface SeenCall {
  /** The proxy that made it lately; others of the same workload make the same. */
  readonly node: ProxyNode
  /** The service that it was sent to, as the name of its cluster says. */
  readonly host: string
  readonly port: number
  /** Undefined: the caller tells the service and no more, as a stock Envoy does. */
  readonly http: { readonly tls: boolean; readonly port: number; readonly method: string; readonly authority: string; readonly path: string } | undefined
  readonly lastMs: number
}

/** Which calls a mesh has seen, from the load reports of the callers: a bounded set of distinct ones. */
export class CallsSeen {
  /** In order of their last report. */
  readonly #calls = new Map<string, SeenCall>()

  report(node: ProxyNode, report: Report): void {
    const caller = callerOf(node)
    for (const { cluster, calls } of report.traffic) {
      const [direction, port = '', , host = ''] = cluster.split('|')
      if (direction !== 'outbound' || host === '') continue
      const to = { node, host, port: Number(port), lastMs: report.atMs }
      if (calls === undefined || calls.length === 0) this.#put(JSON.stringify([caller, host, port]), { ...to, http: undefined })
      for (const http of calls ?? []) this.#put(JSON.stringify([caller, host, port, http.tls, node.type === 'router' ? http.port : 0, http.method, http.authority, http.path]), { ...to, http })
    }
  }

  /** Those seen latest first. */
  list(): SeenCall[] {
    return [...this.#calls.values()].reverse()
  }

  #put(key: string, call: SeenCall): void {
    this.#calls.delete(key)
    this.#calls.set(key, call)
    if (this.#calls.size <= CALLS_MAX) return
    for (const oldest of this.#calls.keys()) {
      this.#calls.delete(oldest)
      break
    }
  }
}

/** Instances of one workload are told apart by nothing that configuration looks at. */
const callerOf = ({ type, namespace, serviceAccount, labels }: ProxyNode): unknown => [type, namespace, serviceAccount, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]
