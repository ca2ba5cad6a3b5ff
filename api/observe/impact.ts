import type { CallOutcome, Impact } from '#core/contract/impact.ts'
import type { ProxyStatus } from '#core/contract/proxy-status.ts'
import type { Trail } from '#core/explain/trail.ts'
import { Faults } from '#core/fault/fault.ts'
import { pathOf } from '#core/telemetry/call-words.ts'
import type { ProxyNode } from '#core/workload/node.ts'
import { workloadKey, type Workload } from '#core/workload/workload.ts'
import type { ApplyOutcome, Change } from '#db/store.ts'
import type { LoadedMesh } from '../meshes.ts'
import { type MeshModel, objectId } from '../model/mesh-model.ts'
import type { ResourceView } from '../serve/resource.ts'
import { ask } from '../simulate/ask.ts'
import { gatewayOf, sidecarOf, World } from '../simulate/world.ts'
import type { ViewDifference } from '../translate/view.ts'
import type { SeenCall } from './calls-seen.ts'

/** What a change would do to the proxies of a mesh and to the calls that it has seen. */
export type MeshImpact = Omit<Impact, 'objects' | 'warnings'>

/**
 * Takes a change into the model in memory, looks, and takes it back, all in one turn: the candidate stands beside the current model in what the change touches, and in nothing else.
 * @param results of a dry run: what would be stored
 * @param calls seen lately
 * @param statuses of the proxies at all replicas; those that are not here are looked at as their workloads describe them
 */
export function impactOn(mesh: LoadedMesh, results: ApplyOutcome['results'], calls: readonly SeenCall[], statuses: readonly ProxyStatus[]): MeshImpact {
  const { model, views } = mesh
  const { revision } = model
  const changes = results.flatMap(({ key, verdict, stored }): Change[] => (verdict === 'unchanged' || verdict === 'absent' ? [] : [{ of: 'resource', revision, key, stored }]))
  const back = [...new Map(changes.map((change) => [JSON.stringify('key' in change ? change.key : ''), change])).values()].flatMap((change): Change[] =>
    change.of === 'resource' ? [{ of: 'resource', revision, key: change.key, stored: model.object(objectId(change.key)) }] : [],
  )
  const elsewhere = proxiesElsewhere(mesh, statuses)
  try {
    // What is asked of the mesh as it would be is asked again of the mesh as it is: only of calls that a proxy which changes has a part in.
    const { differences, seen } = views.rehearse(changes, back, (changed) => {
      const after = new World(model, views)
      return callsThrough(model, changed, calls).map((call) => ({ call, after: outcomeOf(after, call) }))
    })
    const now = new World(model, views)
    const judged = seen.map(({ call, after }) => ({ call, before: outcomeOf(now, call), after }))
    const affected = byProxy(differences)
    return {
      revision,
      proxies: { total: Math.max(statuses.length, affected.size), affected: affected.size },
      workloads: workloadsOf([...affected.values()].map(({ node }) => node)),
      groups: groupsOf(affected),
      calls: judged.flatMap(({ call, before, after }) => (before === undefined || after === undefined || isSame(before, after) ? [] : [{ ...wordsOf(call), lastSeenAt: new Date(call.lastMs).toISOString(), before, after }])),
      callsSeen: calls.length,
      callsUnknown: judged.filter(({ before, after }) => before === undefined || after === undefined).length + calls.filter((call) => !isTold(call)).length,
    }
  } finally {
    for (const view of elsewhere) view.release()
  }
}

/** Views of proxies that are connected to other replicas, for as long as the question takes. */
function proxiesElsewhere({ model, views }: LoadedMesh, statuses: readonly ProxyStatus[]): ResourceView[] {
  const here = new Set(views.nodes().map((node) => node.id))
  const asWorld = new World(model, views)
  return statuses.flatMap(({ node: { id, name, namespace, type, engine, version } }) => {
    const workload = here.has(id) ? undefined : model.workload(workloadKey({ namespace, name }))
    if (workload === undefined) return []
    const node = type === 'router' ? gatewayOf(workload) : sidecarOf(workload, asWorld.isExplicit(workload))
    return [views.viewFor({ ...node, id, engine, version }, undefined)]
  })
}

interface Affected {
  readonly node: ProxyNode
  readonly resources: Impact['groups'][number]['resources']
}

function byProxy(differences: readonly ViewDifference[]): Map<string, Affected> {
  const found = new Map<string, Affected>()
  for (const { node, type, name, before, after } of differences) {
    let of = found.get(node.id)
    if (of === undefined) found.set(node.id, (of = { node, resources: [] }))
    // A proxy that is reconnecting has two views for a moment.
    if (of.resources.some((one) => one.type === type && one.name === name)) continue
    of.resources.push({ type, name, change: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed', origins: [...((after ?? before)?.origins ?? [])] })
  }
  for (const { resources } of found.values()) resources.sort((a, b) => (`${a.type} ${a.name}` < `${b.type} ${b.name}` ? -1 : 1))
  return found
}

const nameOf = ({ name, namespace, id }: ProxyNode): string => (name === '' ? id : `${name}.${namespace}`)

function groupsOf(affected: ReadonlyMap<string, Affected>): Impact['groups'] {
  const groups = new Map<string, Impact['groups'][number]>()
  for (const { node, resources } of affected.values()) {
    // Listeners are named by the address that they are bound to: instances of one workload differ in nothing else.
    const key = JSON.stringify(resources.map(({ type, name, change }) => [type, node.address === '' ? name : name.replaceAll(node.address, '*'), change]))
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { proxies: [nameOf(node)], resources })
    else group.proxies.push(nameOf(node))
  }
  for (const { proxies } of groups.values()) proxies.sort()
  return [...groups.values()].sort((a, b) => b.proxies.length - a.proxies.length || (a.proxies.join() < b.proxies.join() ? -1 : 1))
}

/** As Istio's telemetry names a workload: its canonical name, else its `app`, else its own. */
const canonicalName = ({ labels, name }: Pick<ProxyNode, 'labels' | 'name'>): string => labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? name

function workloadsOf(nodes: readonly ProxyNode[]): Impact['workloads'] {
  const counts = new Map<string, number>()
  for (const node of nodes) {
    const name = `${node.namespace}/${canonicalName(node)}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, proxies]) => ({ name, proxies })).sort((a, b) => b.proxies - a.proxies || (a.name < b.name ? -1 : 1))
}

/** The calls in which a proxy that changes has a part, as the caller's or the callee's. */
function callsThrough(model: MeshModel, changed: ReadonlySet<ProxyNode>, calls: readonly SeenCall[]): SeenCall[] {
  const ids = new Set([...changed].map((node) => node.id))
  const workloads = new Set([...changed].map(workloadKey))
  const changedBehind = new Map<string, boolean>()
  const behind = (host: string): boolean => {
    const known = changedBehind.get(host)
    if (known !== undefined) return known
    const is = callees(model, host).some((workload) => workloads.has(workloadKey(workload)))
    changedBehind.set(host, is)
    return is
  }
  return calls.filter((call) => isTold(call) && (ids.has(call.node.id) || workloads.has(workloadKey(call.node)) || behind(call.host)))
}

function callees(model: MeshModel, host: string): Workload[] {
  return [...model.filed('service-host', host)].flatMap((id) => model.declared(id)).flatMap((service) => (service.host !== host || service.selector === undefined ? [] : model.workloadsSelected(service.namespace, service.selector)))
}

/** Which host a gateway was asked for is in no name of a cluster. */
const isTold = ({ node, http }: SeenCall): boolean => http !== undefined || node.type !== 'router'

interface Words {
  readonly from: string
  readonly method: string | null
  readonly url: string
  readonly assumed: boolean
}

function wordsOf({ node, host, port, http }: SeenCall): Words {
  const from = `${node.type === 'router' ? 'gateway:' : ''}${nameOf(node)}`
  if (http === undefined) return { from, method: 'GET', url: `http://${host}:${port}/`, assumed: true }
  const authority = http.authority === '' ? `${host}:${port}` : http.authority
  return { from, method: http.method, url: `${http.tls ? 'https' : 'http'}://${authority}${http.path === '*' ? '/' : http.path}`, assumed: false }
}

/** Undefined when it cannot be asked: its caller is gone. */
function outcomeOf(world: World, call: SeenCall): CallOutcome | undefined {
  const words = wordsOf(call)
  const captured = call.node.type === 'sidecar' && call.node.outbound === undefined
  // Where nothing is captured the port is in the name that the application calls; a gateway is asked at its own.
  const port = call.http === undefined ? (captured ? call.port : undefined) : call.node.type === 'router' || captured ? call.http.port : undefined
  const url = words.url.replace(/^(https?:\/\/[^/]*)(.*)$/, (_, head: string, path: string) => head + pathOf(path))
  const asked = { from: words.from, method: words.method ?? 'GET', url, ...(port === undefined || port === 0 ? {} : { port }) }
  try {
    // Where a port is of TCP, this passes as bytes do.
    return summary(ask(world, asked, call.node))
  } catch (error) {
    if (error instanceof Faults) return undefined
    throw error
  }
}

const summary = ({ outcome, status, by, why, location, rewrite, mirrors, timeoutMs, retries, to }: Trail): CallOutcome => ({
  outcome,
  why,
  ...(status === undefined ? {} : { status }),
  ...(by === undefined ? {} : { by: { ...by } }),
  ...(location === undefined ? {} : { location }),
  ...(rewrite === undefined ? {} : { rewrite: { ...rewrite } }),
  mirrors: mirrors.map((one) => ({ ...one })),
  ...(timeoutMs === undefined ? {} : { timeoutMs }),
  ...(retries === undefined ? {} : { retries }),
  to: to.map(({ host, subset, port, weight, endpoints }) => ({ host, subset, port, weight, endpoints: endpoints.length })),
})

/** The revision of the object that decides, and the words about it, may differ where nothing else does. */
function isSame(a: CallOutcome, b: CallOutcome): boolean {
  const told = (one: CallOutcome) => JSON.stringify([one.outcome, one.status, one.by?.resource, one.location, one.rewrite, one.mirrors, one.timeoutMs, one.retries, one.to])
  return told(a) === told(b)
}
