import { reachedAddresses } from '#core/workload/reached.ts'
import type { Topology } from '#core/contract/topology.ts'
import type { Clock } from '#core/time/clock.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { Meshes } from '../meshes.ts'
import type { MeshModel } from '../model/mesh-model.ts'
import { CallsSeen, type SeenCall } from './calls-seen.ts'
import { TrafficTopology, type MeshNames } from './topology.ts'
import type { Report } from './window.ts'

/** Meshes whose calls are kept. */
const MESHES_MAX = 1000

/** The live topology of each mesh that reports. */
export class MeshTraffic {
  readonly #meshes: Meshes
  readonly #clock: Clock
  readonly #topologies = new Map<string, TrafficTopology>()
  /** The mesh that was heard of least lately first. */
  readonly #calls = new Map<string, CallsSeen>()

  constructor(meshes: Meshes, clock: Clock) {
    this.#meshes = meshes
    this.#clock = clock
  }

  report(meshId: string, node: ProxyNode, report: Report): void {
    let topology = this.#topologies.get(meshId)
    if (!topology) this.#topologies.set(meshId, (topology = new TrafficTopology()))
    topology.report(node, report)
    const calls = this.#calls.get(meshId) ?? new CallsSeen()
    this.#calls.delete(meshId)
    this.#calls.set(meshId, calls)
    calls.report(node, report)
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size <= MESHES_MAX) break
      this.#calls.delete(oldest)
    }
  }

  forget(meshId: string, nodeId: string): void {
    const topology = this.#topologies.get(meshId)
    topology?.forget(nodeId)
    if (topology?.empty) this.#topologies.delete(meshId)
  }

  /** Calls that the mesh has seen, the latest first: those whose callers report here. */
  calls(meshId: string): SeenCall[] {
    return this.#calls.get(meshId)?.list() ?? []
  }

  async topology(meshId: string): Promise<Topology> {
    const mesh = await this.#meshes.get(meshId)
    const topology = this.#topologies.get(meshId) ?? new TrafficTopology()
    return topology.read(mesh ? namesOf(mesh.model) : noNames, this.#clock.wallMs())
  }
}

const noNames: MeshNames = { revision: 0, workloadAt: () => undefined, hostsOf: () => [], workloads: () => [] }

/** Made anew for each picture: a picture is asked for once a second at most, by someone who looks at the whole mesh. */
function namesOf(model: MeshModel): MeshNames {
  const byEndpoint = new Map<string, Workload>()
  for (const workload of model.workloads()) for (const port of workload.ports) for (const address of reachedAddresses(workload, port)) byEndpoint.set(`${address}:${port.listen.port}`, workload)
  return {
    revision: model.revision,
    workloadAt: (endpoint) => byEndpoint.get(endpoint),
    hostsOf: (workload) => model.servicesSelecting(workload.namespace, workload.labels).map((service) => service.host),
    workloads: () => model.workloads(),
  }
}
