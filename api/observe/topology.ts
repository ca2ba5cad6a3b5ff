import type { Topology, TopologyEdge, TopologyNode } from '#core/contract/topology.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload } from '#core/workload/workload.ts'
import { addFlow, quantileMs, type Flow, type Report, TrafficWindow } from './window.ts'

const WINDOW_MS = 10_000

/** What the topology needs to know of the mesh to name what a report speaks of. */
export interface MeshNames {
  readonly revision: number
  /** The workload that answers at `ADDRESS:PORT`. */
  workloadAt(endpoint: string): Workload | undefined
  /** Hosts of the services that select a workload. */
  hostsOf(workload: Workload): Iterable<string>
  workloads(): Iterable<Workload>
}

interface Caller {
  readonly node: ProxyNode
  readonly window: TrafficWindow
}

interface Target {
  readonly host: string
  readonly version: string
}

interface FlowAndTime {
  flow: Flow
  requestsPerSecond: number
}

/** Who calls whom, from the load reports of the callers: nothing in it is configured or guessed. */
export class TrafficTopology {
  readonly #callers = new Map<string, Caller>()

  /** Takes one proxy's report in. */
  report(node: ProxyNode, report: Report): void {
    let caller = this.#callers.get(node.id)
    if (!caller) this.#callers.set(node.id, (caller = { node, window: new TrafficWindow(WINDOW_MS) }))
    caller.window.add(report)
  }

  forget(nodeId: string): void {
    this.#callers.delete(nodeId)
  }

  get empty(): boolean {
    return this.#callers.size === 0
  }

  read(names: MeshNames, nowMs: number): Topology {
    const edges = new Map<string, FlowAndTime & { from: string; target: Target }>()
    const nodes = new Map<string, { node: Omit<TopologyNode, 'versions' | keyof ReturnType<typeof ratesOf>>; versions: Map<string, { workloads: number } & FlowAndTime>; total: FlowAndTime }>()

    const nodeAt = (id: string, kind: TopologyNode['kind'], name: string, namespace: string) => {
      let found = nodes.get(id)
      if (!found) nodes.set(id, (found = { node: { id, kind, name, namespace }, versions: new Map(), total: emptyTotals() }))
      return found
    }
    const versionAt = (found: ReturnType<typeof nodeAt>, version: string) => {
      let of = found.versions.get(version)
      if (!of) found.versions.set(version, (of = { workloads: 0, ...emptyTotals() }))
      return of
    }
    /** Every place in the picture that a workload stands for: its services, or itself when it serves nothing. */
    const placesOf = (workload: Workload): string[] => {
      const hosts = [...names.hostsOf(workload)]
      if (hosts.length > 0) return hosts.map((host) => nodeAt(`service/${host}`, 'service', host.split('.')[0] ?? host, workload.namespace).node.id)
      const gateway = !workload.mutualTls
      const id = `${gateway ? 'gateway' : 'workload'}/${workload.namespace}/${workload.name}`
      return [nodeAt(id, gateway ? 'gateway' : 'workload', workload.name, workload.namespace).node.id]
    }

    const workloadsByName = new Map<string, Workload>()
    for (const workload of names.workloads()) {
      workloadsByName.set(`${workload.namespace}/${workload.name}`, workload)
      for (const id of placesOf(workload)) {
        const place = nodes.get(id)
        if (place) versionAt(place, workload.labels['version'] ?? '').workloads++
      }
    }

    for (const caller of this.#callers.values()) {
      const { spanMs, flows } = caller.window.sum(nowMs)
      if (spanMs === 0) continue
      const self = workloadsByName.get(`${caller.node.namespace}/${caller.node.name}`)
      const from = self ? placesOf(self)[0] : nodeAt(`workload/${caller.node.namespace}/${caller.node.name}`, 'workload', caller.node.name, caller.node.namespace).node.id
      for (const { cluster, endpoint, flow } of flows.values()) {
        const target = targetOf(cluster, names.workloadAt(endpoint))
        if (!target || from === undefined) continue
        const perSecond = ((flow.succeeded + flow.failed) * 1000) / spanMs
        const namespace = target.host.endsWith('.svc.cluster.local') ? (target.host.split('.')[1] ?? '') : ''
        const to = nodeAt(`service/${target.host}`, namespace === '' ? 'external' : 'service', namespace === '' ? target.host : (target.host.split('.')[0] ?? target.host), namespace)
        const key = `${from} ${to.node.id} ${target.version}`
        let edge = edges.get(key)
        if (!edge) edges.set(key, (edge = { from, target, ...emptyTotals() }))
        for (const sum of [edge, to.total, versionAt(to, target.version)]) {
          addFlow(sum.flow, flow)
          sum.requestsPerSecond += perSecond
        }
      }
    }

    return {
      atMs: nowMs,
      windowMs: WINDOW_MS,
      revision: names.revision,
      nodes: [...nodes.values()]
        .map(({ node, versions, total }) => ({
          ...node,
          versions: [...versions].map(([version, of]) => ({ version, workloads: of.workloads, ...ratesOf(of) })).sort((a, b) => a.version.localeCompare(b.version)),
          ...ratesOf(total),
        }))
        .sort((a, b) => a.id.localeCompare(b.id)),
      edges: [...edges.values()]
        .map(
          (edge): TopologyEdge => ({
            from: edge.from,
            to: `service/${edge.target.host}`,
            version: edge.target.version,
            ...ratesOf(edge),
            mutualTlsShare: edge.flow.mutualTls === undefined || edge.flow.succeeded + edge.flow.failed === 0 ? null : edge.flow.mutualTls / (edge.flow.succeeded + edge.flow.failed),
          }),
        )
        .sort((a, b) => `${a.from} ${a.to} ${a.version}`.localeCompare(`${b.from} ${b.to} ${b.version}`)),
    }
  }
}

const emptyTotals = (): FlowAndTime => ({ flow: { succeeded: 0, failed: 0, durations: undefined, mutualTls: undefined }, requestsPerSecond: 0 })

function ratesOf({ flow, requestsPerSecond }: FlowAndTime): { requestsPerSecond: number; errorShare: number; p50Ms: number | null; p99Ms: number | null } {
  const total = flow.succeeded + flow.failed
  return { requestsPerSecond, errorShare: total === 0 ? 0 : flow.failed / total, p50Ms: quantileMs(flow.durations, 0.5), p99Ms: quantileMs(flow.durations, 0.99) }
}

/** `outbound|8080|v1|HOST`: the host and version that a cluster stands for; the endpoint's own workload knows its version better than a subset's name does. */
function targetOf(cluster: string, workload: Workload | undefined): Target | undefined {
  const [direction, , subset = '', host = ''] = cluster.split('|')
  if (direction !== 'outbound' || host === '') return undefined
  return { host, version: workload?.labels['version'] ?? subset }
}
