import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { WorkloadEntrySpec } from '#core/resource/workload-entry.ts'
import { workloadKey } from '#core/workload/workload.ts'
import type { Workload } from '#core/workload/workload.ts'
import type { Change, MeshSettings, StoredResource } from '#db/store.ts'
import { AllocatedAddresses } from './allocated-addresses.ts'
import { concernsDerived, deriveIn, storedDerived } from './gateway-api/in-model.ts'
import type { ApiStatus } from './gateway-api/surroundings.ts'
import { statusKey } from './gateway-api/derive.ts'
import { indexEntries } from './index-entries.ts'
import { labelPair, selects } from './labels.ts'
import type { Labels } from './labels.ts'
import { MeshReader } from './mesh-reader.ts'
import { addressKey, declaredServices, hostsToAddress } from './mesh-service.ts'
import type { MeshService } from './mesh-service.ts'

/** What a batch of changes touched: the keys that a tracked read may have recorded, and the index entries that came to be or ceased. */
export interface Touched {
  readonly revision: number
  readonly keys: ReadonlySet<string>
  readonly members: ReadonlyMap<string, ReadonlySet<string>>
}

export interface MeshIdentity {
  readonly trustDomain: string
  /** Configuration here counts for the whole mesh; `istio-system` unless said otherwise. */
  readonly rootNamespace?: string
  readonly settings?: MeshSettings
}

/** `VirtualService/prod/order-service`: the id of an object, and its name in words. Core kinds and API groups that share a kind name are told apart by group. */
export const objectId = (key: { readonly group?: string; readonly kind: string; readonly namespace: string; readonly name: string }): string =>
  `${key.group === 'gateway.networking.k8s.io' ? 'k8s:' : ''}${key.kind}/${key.namespace}/${key.name}`

const EMPTY: ReadonlySet<string> = new Set()

/**
 * One mesh as it is at a revision: objects, workloads and settings, with indices kept as changes come.
 * A change costs what it changes: `visits` counts the index entries and objects that were looked at, and nothing here loops over all of a kind.
 * Readers go through `read`, which reports every key that an answer depends on, and so what a later change makes stale.
 */
export class MeshModel {
  revision = 0
  /** Entries looked at since the start, for the test that holds cost to the change. */
  visits = 0
  readonly trustDomain: string
  readonly rootNamespace: string
  settings: MeshSettings
  readonly #objects = new Map<string, StoredResource>()
  readonly #entries = new Map<string, readonly (readonly [string, string])[]>()
  readonly #services = new Map<string, readonly MeshService[]>()
  readonly #indices = new Map<string, Map<string, Set<string>>>()
  /** Ids of objects that no one wrote: what those of the Gateway API, and Ingresses, amount to. */
  #derived: ReadonlySet<string> = new Set()
  /** What is told of those, at the revision when it was last asked for. */
  #told: { readonly revision: number; readonly status: ReadonlyMap<string, ApiStatus> } | undefined
  readonly #allocated = new AllocatedAddresses()
  readonly #workloads = new Map<string, Workload>()
  readonly #workloadsByLabel = new Map<string, Set<string>>()
  /** host → SPIFFE ID → number of workloads that bear it. */
  readonly #accounts = new Map<string, Map<string, number>>()

  constructor(mesh: MeshIdentity) {
    this.trustDomain = mesh.trustDomain
    this.rootNamespace = mesh.rootNamespace ?? 'istio-system'
    this.settings = mesh.settings ?? {}
  }

  /** Takes changes in, in order, and answers what they touched. A change that says what is already so touches nothing. */
  apply(changes: Iterable<Change>, revision: number): Touched {
    const steps = this.applying(changes, revision)
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
    }
  }

  /** As `apply`, but pauses after each change, so that whoever fills a large model can let others have their turn. Until it is done the model is at no revision: nobody may read it. */
  *applying(changes: Iterable<Change>, revision: number): Generator<undefined, Touched> {
    const touch = new TouchRecord()
    const all = [...changes]
    for (const change of all) {
      if (change.of === 'resource') this.#putObject(objectId(change.key), change.stored, touch)
      else if (change.of === 'workload') this.#putWorkload(workloadKey(change), change.workload, touch)
      else {
        this.settings = change.settings
        touch.keys.add('settings')
      }
      yield
    }
    if (concernsDerived(this, all)) this.#derive(touch)
    this.revision = revision
    return { revision, keys: touch.keys, members: touch.members }
  }

  /** A reader whose every read calls `record` with the key it depends on, reads that find nothing included. */
  read(record: (key: string) => void): MeshReader {
    return new MeshReader(this, record)
  }

  object(id: string): StoredResource | undefined {
    this.visits++
    return this.#objects.get(id)
  }

  /** An object that someone wrote. */
  written(id: string): StoredResource | undefined {
    return this.#derived.has(id) ? undefined : this.#objects.get(id)
  }

  /** Ids of the objects filed under an entry. */
  filed(index: string, entry: string): ReadonlySet<string> {
    this.visits++
    return this.#indices.get(index)?.get(entry) ?? EMPTY
  }

  /** All entries of an index that hold something: the members of a collection. For a view that begins; a change never asks. */
  members(index: string): Iterable<string> {
    return this.#indices.get(index)?.keys() ?? []
  }

  hasMember(index: string, entry: string): boolean {
    this.visits++
    return this.#indices.get(index)?.has(entry) ?? false
  }

  declared(id: string): readonly MeshService[] {
    return this.#services.get(id) ?? []
  }

  /** All objects that someone wrote, for checks over the whole mesh at start; a change never asks. */
  *objects(): Iterable<StoredResource> {
    for (const [id, stored] of this.#objects) if (!this.#derived.has(id)) yield stored
  }

  /** What the objects of the Gateway API amount to, for a look over the whole mesh; a change never asks. */
  *derivedObjects(): Iterable<StoredResource> {
    for (const id of this.#derived) {
      const stored = this.#objects.get(id)
      if (stored !== undefined) yield stored
    }
  }

  /** What is told of an object of the Gateway API; undefined: it is none of this mesh's. */
  gatewayApiStatus(key: { readonly kind: string; readonly namespace: string; readonly name: string }): ApiStatus | undefined {
    if (this.#told?.revision !== this.revision) this.#told = { revision: this.revision, status: deriveIn(this).status }
    return this.#told.status.get(statusKey(key))
  }

  /** All workloads, for a reload; a change never asks. */
  workloads(): Iterable<Workload> {
    return this.#workloads.values()
  }

  workload(key: string): Workload | undefined {
    this.visits++
    return this.#workloads.get(key)
  }

  /** Workloads of a namespace that bear all labels of a selector, in order of name. */
  workloadsSelected(namespace: string, selector: Labels): Workload[] {
    const sets = Object.entries(selector).map(([name, value]) => this.#workloadsByLabel.get(`${namespace}/${labelPair(name, value)}`) ?? EMPTY)
    const smallest = sets.reduce((least, one) => (one.size < least.size ? one : least), sets[0] ?? EMPTY)
    const found: Workload[] = []
    for (const key of smallest) {
      const workload = this.workload(key)
      if (workload !== undefined && selects(selector, workload.labels)) found.push(workload)
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Services of a namespace whose selector such labels meet. */
  servicesSelecting(namespace: string, labels: Labels): MeshService[] {
    const found: MeshService[] = []
    for (const [name, value] of Object.entries(labels)) {
      for (const id of this.filed('service-selector', `${namespace}/${labelPair(name, value)}`)) {
        for (const service of this.declared(id)) if (service.selector !== undefined && selects(service.selector, labels)) found.push(service)
      }
    }
    return found
  }

  /** SPIFFE IDs of the workloads behind a host. */
  accounts(host: string): Iterable<string> {
    this.visits++
    return this.#accounts.get(host)?.keys() ?? []
  }

  /** Whether a change says nothing that is not so already. */
  holds(change: Change): boolean {
    if (change.of === 'resource') return this.#holdsObject(objectId(change.key), change.stored)
    return change.of === 'workload' && isSame(this.#workloads.get(workloadKey(change)), change.workload)
  }

  #holdsObject(id: string, stored: StoredResource | undefined): boolean {
    const before = this.#objects.get(id)
    return before === undefined || stored === undefined ? before === stored : before.revision === stored.revision && isSame(before.object, stored.object)
  }

  #putObject(id: string, stored: StoredResource | undefined, touch: TouchRecord): void {
    this.visits++
    if (this.#holdsObject(id, stored)) return
    const before = this.#objects.get(id)
    touch.keys.add(`object/${id}`)
    const moved = (stored ?? before)?.key.kind === 'ServiceEntry' ? this.#allocated.declare(id, stored === undefined ? [] : hostsToAddress(stored), stored?.createdAtMs ?? 0) : EMPTY
    const servicesBefore = this.declared(id)
    const services = stored === undefined ? [] : this.#servicesOf(id, stored)
    if (stored === undefined) {
      this.#objects.delete(id)
      this.#services.delete(id)
    } else {
      this.#objects.set(id, stored)
      if (services.length > 0) this.#services.set(id, services)
    }
    if ((stored ?? before)?.key.kind === 'WorkloadEntry') this.#putWorkload(id, stored === undefined ? undefined : workloadOfEntry(stored), touch)
    this.#file(id, stored === undefined ? [] : indexEntries(stored, services), touch)
    for (const host of new Set([...servicesBefore, ...services].map((one) => one.host))) this.#recountAccounts(host, touch)
    for (const other of moved) this.#readdress(other, touch)
  }

  #servicesOf(id: string, stored: StoredResource): readonly MeshService[] {
    return declaredServices(stored).map((service) => {
      const allocated = this.#allocated.addressesOf(id, addressKey(service.namespace, service.host))
      return allocated === undefined ? service : { ...service, allocated }
    })
  }

  /** What a ServiceEntry declares now that another has taken or left an address of its hosts. */
  #readdress(id: string, touch: TouchRecord): void {
    const stored = this.object(id)
    if (stored === undefined) return
    const services = this.#servicesOf(id, stored)
    touch.keys.add(`object/${id}`)
    this.#services.set(id, services)
    this.#file(id, indexEntries(stored, services), touch)
  }

  /** Puts what the Gateway API objects amount to now in the place of what they did. */
  #derive(touch: TouchRecord): void {
    const derived = new Map(deriveIn(this).objects.map(storedDerived).map((stored) => [objectId(stored.key), stored]))
    for (const id of this.#derived) if (!derived.has(id)) this.#putObject(id, undefined, touch)
    this.#derived = new Set(derived.keys())
    for (const [id, stored] of derived) this.#putObject(id, stored, touch)
  }

  #file(id: string, entries: readonly (readonly [string, string])[], touch: TouchRecord): void {
    const before = this.#entries.get(id) ?? []
    const name = ([index, entry]: readonly [string, string]): string => `${index}\n${entry}`
    const had = new Set(before.map(name))
    const has = new Set(entries.map(name))
    for (const one of before) {
      this.visits++
      if (has.has(name(one))) continue
      const [index, entry] = one
      const filed = this.#indices.get(index)
      const ids = filed?.get(entry)
      ids?.delete(id)
      touch.keys.add(`${index}/${entry}`)
      if (ids?.size === 0) {
        filed?.delete(entry)
        touch.member(index, entry)
      }
    }
    for (const one of entries) {
      this.visits++
      if (had.has(name(one))) continue
      const [index, entry] = one
      let filed = this.#indices.get(index)
      if (filed === undefined) this.#indices.set(index, (filed = new Map()))
      let ids = filed.get(entry)
      if (ids === undefined) {
        filed.set(entry, (ids = new Set()))
        touch.member(index, entry)
      }
      ids.add(id)
      touch.keys.add(`${index}/${entry}`)
    }
    if (entries.length > 0) this.#entries.set(id, entries)
    else this.#entries.delete(id)
  }

  #putWorkload(key: string, workload: Workload | undefined, touch: TouchRecord): void {
    this.visits++
    const before = this.#workloads.get(key)
    if (before !== undefined && workload !== undefined && isSame(before, workload)) return
    if (before !== undefined) {
      for (const pair of Object.entries(before.labels)) this.#workloadsByLabel.get(`${before.namespace}/${labelPair(...pair)}`)?.delete(key)
      this.#workloads.delete(key)
      for (const service of this.servicesSelecting(before.namespace, before.labels)) {
        touch.keys.add(`endpoints/${service.host}`)
        this.#countAccount(service.host, this.#spiffeId(before), -1, touch)
      }
    }
    if (workload !== undefined) {
      this.#workloads.set(key, workload)
      for (const pair of Object.entries(workload.labels)) {
        const entry = `${workload.namespace}/${labelPair(...pair)}`
        const keys = this.#workloadsByLabel.get(entry)
        if (keys === undefined) this.#workloadsByLabel.set(entry, new Set([key]))
        else keys.add(key)
      }
      for (const service of this.servicesSelecting(workload.namespace, workload.labels)) {
        touch.keys.add(`endpoints/${service.host}`)
        this.#countAccount(service.host, this.#spiffeId(workload), 1, touch)
      }
    }
  }

  #spiffeId(of: { namespace: string; serviceAccount: string }): string {
    return formatSpiffeId({ trustDomain: this.trustDomain, namespace: of.namespace, serviceAccount: of.serviceAccount === '' ? 'default' : of.serviceAccount })
  }

  #countAccount(host: string, account: string, by: number, touch: TouchRecord): void {
    let counts = this.#accounts.get(host)
    if (counts === undefined) this.#accounts.set(host, (counts = new Map()))
    const now = (counts.get(account) ?? 0) + by
    if (now > 0) counts.set(account, now)
    else counts.delete(account)
    if (counts.size === 0) this.#accounts.delete(host)
    // Counted down to nothing and up again within one batch leaves a touched key behind: a recomputation that finds nothing new.
    if (now === 0 || now === by) touch.keys.add(`accounts/${host}`)
  }

  #recountAccounts(host: string, touch: TouchRecord): void {
    const counts = new Map<string, number>()
    for (const id of this.filed('service-host', host)) {
      for (const service of this.declared(id)) {
        if (service.host !== host) continue
        const workloads = service.selector === undefined ? [] : this.workloadsSelected(service.namespace, service.selector)
        const accounts = [...workloads, ...service.endpoints.flatMap((one) => (one.serviceAccount ? [{ namespace: service.namespace, serviceAccount: one.serviceAccount }] : []))]
        for (const one of accounts) counts.set(this.#spiffeId(one), (counts.get(this.#spiffeId(one)) ?? 0) + 1)
      }
    }
    const before = this.#accounts.get(host)
    if (counts.size > 0) this.#accounts.set(host, counts)
    else this.#accounts.delete(host)
    if (before?.size !== counts.size && (before !== undefined || counts.size > 0)) touch.keys.add(`accounts/${host}`)
    else for (const account of counts.keys()) if (!before?.has(account)) touch.keys.add(`accounts/${host}`)
  }
}

/** Whether a proxy is in front of what an object names as a workload: as its labels say, else where it has an account, by which it could prove itself. As in Istio. */
export const isProxied = ({ labels, serviceAccount }: { readonly labels?: Labels | undefined; readonly serviceAccount?: string | undefined }): boolean =>
  labels?.['security.istio.io/tlsMode'] === undefined ? Boolean(serviceAccount) : labels['security.istio.io/tlsMode'] === 'istio'

/** A WorkloadEntry's workload. */
function workloadOfEntry({ key, object }: StoredResource): Workload {
  const spec = object.spec as WorkloadEntrySpec
  const labels = { ...object.metadata.labels, ...spec.labels }
  return {
    name: key.name,
    namespace: key.namespace,
    serviceAccount: spec.serviceAccount ?? '',
    labels,
    address: spec.address ?? '',
    network: spec.network ?? '',
    locality: spec.locality ?? '',
    cluster: '',
    ports: [],
    ...(spec.ports === undefined ? {} : { portsByName: spec.ports }),
    ...(spec.weight ? { weight: spec.weight } : {}),
    mutualTls: isProxied({ labels, serviceAccount: spec.serviceAccount }),
    health: 'healthy',
  }
}

/** Rows that are read anew are other objects that say the same. */
const isSame = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)

class TouchRecord {
  readonly keys = new Set<string>()
  readonly members = new Map<string, Set<string>>()

  member(index: string, entry: string): void {
    this.keys.add(`member/${index}/${entry}`)
    const entries = this.members.get(index)
    if (entries === undefined) this.members.set(index, new Set([entry]))
    else entries.add(entry)
  }
}
