import type { Clock } from '#core/time/clock.ts'
import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { EndpointsPlan } from '#core/plan/endpoints.ts'
import type { ScopePlan } from '#core/plan/http.ts'
import type { NamesPlan } from '#core/plan/names.ts'
import { readNames } from '#core/plan/read-names.ts'
import type { ListenerPlan } from '#core/plan/listener.ts'
import type { RouteTable } from '#core/plan/route.ts'
import type { SecretPlan } from '#core/plan/secret.ts'
import { fault } from '#core/fault/fault.ts'
import type { Read } from '#core/plan/read.ts'
import { readCluster } from '#core/plan/read-cluster.ts'
import { readEndpoints } from '#core/plan/read-endpoints.ts'
import { readListener } from '#core/plan/read-listener.ts'
import { readRoute } from '#core/plan/read-route.ts'
import { readScope } from '#core/plan/read-scope.ts'
import { readSecret } from '#core/plan/read-secret.ts'
import { CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, NAME_TABLE, ROUTE_CONFIGURATION, SCOPED_ROUTE_CONFIGURATION, SECRET, type TypeUrl } from '#core/wire/type-url.ts'
import type { Log } from '../admin/log.ts'
import type { PlanSource } from '../sources.ts'
import { Interest } from './interest.ts'
import type { Rejected } from './nack.ts'
import { type RawResource, RawResources } from './raw-resources.ts'
import { clustersOfTable, secretsOfCluster, secretsOfListener, tablesOfListener } from './references.ts'
import { Subscription } from './subscription.ts'
import { Warming } from './warming.ts'

/** Hears of each swap, after it was made: the data path, which opens and closes listeners and pools. */
export interface PlanFollower {
  /** Resolves when its port is bound (empty), or cannot be: then with the reason. */
  applyListener(name: string): Promise<string>
  removeListener(name: string): void
  applyCluster(name: string): void
  removeCluster(name: string): void
  /** By the ClusterLoadAssignment's name. */
  applyEndpoints(name: string): void
}

/** Where certificates and roots from discovery go. */
export interface SecretStore {
  put(secret: SecretPlan): void
  remove(name: string): void
}

/** Resources of one type, as one response brings them. */
export interface Update {
  readonly type: TypeUrl
  readonly revision: number
  readonly resources: readonly RawResource[]
  readonly removed: readonly string[]
  /** A part of an answer: more of it follows. */
  readonly more?: boolean
}

/** A resource is in force, or overtaken; with a reason when it could not be put in force. */
type Settled = (failure?: string) => void

/** What one resource points at, by kind: subscribed as long as the resource is in force or on its way there. */
interface Demands {
  readonly tables?: Iterable<string>
  readonly endpoints?: Iterable<string>
  readonly secrets?: Iterable<string>
}

const FIRSTS: readonly TypeUrl[] = [CLUSTER, LISTENER, SCOPED_ROUTE_CONFIGURATION]
const firstKey = (type: TypeUrl): string => `first ${type}`

/**
 * The one owner of what a proxy executes. Takes resources as they come, reads them, holds back what points at things that are not here yet, and swaps whole values.
 * A resource that cannot be read leaves the one before it in force. Nobody else writes to these maps.
 */
export class PlanCell implements PlanSource {
  readonly listeners = new Map<string, ListenerPlan>()
  readonly scopes = new Map<string, ScopePlan>()
  readonly tables = new Map<string, RouteTable>()
  readonly clusters = new Map<string, ClusterPlan>()
  readonly endpoints = new Map<string, EndpointsPlan>()
  /** Names that the application's look-ups are answered from; empty unless asked for. */
  readonly names = new Map<string, NamesPlan>()
  readonly raw = new RawResources()
  /** In the order of a pass: what is pointed at before what points at it. */
  readonly subscriptions: readonly Subscription[]
  readonly #byType: ReadonlyMap<TypeUrl, Subscription>
  readonly #interests: { readonly tables: Interest; readonly endpoints: Interest; readonly secrets: Interest }
  readonly #secrets: SecretStore
  readonly #heldSecrets = new Set<string>()
  readonly #scopeKeys = new Map<string, string>()
  readonly #warming: Warming
  readonly #firsts = new Set<TypeUrl>(FIRSTS)
  readonly #log: Log
  #revision = 0
  #follower: PlanFollower | undefined
  #tokens = 0
  #onWarm: (() => void)[] = []
  #onChange: (() => void)[] = []
  #onNames: ((name: string) => void) | undefined
  #echo: ((update: Update) => void) | undefined

  /** @param asksNames whether the application's look-ups come here */
  constructor(clock: Clock, secrets: SecretStore, log: Log, asksNames = false) {
    this.#secrets = secrets
    this.#log = log
    this.#warming = new Warming(clock, (id, needs) => log.warn('plan.warming-overdue', { id, needs: needs.slice(0, 10) }))
    const subscriptions = [
      new Subscription(CLUSTER, true),
      new Subscription(CLUSTER_LOAD_ASSIGNMENT, false),
      new Subscription(SECRET, false),
      new Subscription(LISTENER, true),
      new Subscription(SCOPED_ROUTE_CONFIGURATION, true),
      new Subscription(ROUTE_CONFIGURATION, false),
      ...(asksNames ? [new Subscription(NAME_TABLE, true)] : []),
    ]
    this.subscriptions = subscriptions
    // A name that is not known yet would be asked for elsewhere, and its wrong answer kept.
    if (asksNames) this.#firsts.add(NAME_TABLE)
    this.#byType = new Map(subscriptions.map((one) => [one.type, one]))
    this.#interests = {
      tables: this.#interestIn(ROUTE_CONFIGURATION, (name) => {
        this.tables.delete(name)
        this.#warming.drop(`rds ${name}`)
      }),
      endpoints: this.#interestIn(CLUSTER_LOAD_ASSIGNMENT, (name) => this.endpoints.delete(name)),
      secrets: this.#interestIn(SECRET, (name) => this.#removeSecret(name)),
    }
  }

  /** The newest revision of which something is in force here. */
  get revision(): number {
    return this.#revision
  }

  /** Every kind of resource was answered once and whole, and all of that is in force. */
  get isWarm(): boolean {
    return this.#firsts.size === 0
  }

  whenWarm(listener: () => void): void {
    if (this.isWarm) listener()
    else this.#onWarm.push(listener)
  }

  /** Runs after each update that brought something. */
  onChange(listener: () => void): void {
    this.#onChange.push(listener)
  }

  /** The data path begins to follow: hears of all that is in force already, and of every later swap. */
  follow(follower: PlanFollower): void {
    this.#follower = follower
    for (const name of this.clusters.keys()) follower.applyCluster(name)
    for (const name of this.endpoints.keys()) follower.applyEndpoints(name)
    for (const name of this.listeners.keys()) void follower.applyListener(name)
  }

  /** Hears of each name table that came or went. */
  onNames(changed: (name: string) => void): void {
    this.#onNames = changed
    for (const name of this.names.keys()) changed(name)
  }

  /** Hears of each response before it is taken, as it came. */
  echo(to: (update: Update) => void): void {
    this.#echo = to
  }

  /** What has come and is not in force yet. */
  get warming(): readonly { id: string; needs: string[] }[] {
    return this.#warming.list()
  }

  subscription(type: string): Subscription | undefined {
    return this.subscriptions.find((one) => one.type === type)
  }

  stop(): void {
    this.#warming.stop()
  }

  /**
   * Takes one response. `done` runs once, when everything in it is in force or overtaken by something newer; at once, if nothing has to wait. It hears of what could not be put in force after all.
   * @returns what was refused, with its faults: the rest of the response is taken all the same, as Envoy does
   */
  take(update: Update, done: (unenforced: readonly Rejected[]) => void): readonly Rejected[] {
    this.#echo?.(update)
    const rejected: Rejected[] = []
    const unenforced: Rejected[] = []
    const subscription = this.#byType.get(update.type)
    let open = 1
    const settled = (): void => {
      open -= 1
      if (open > 0) return
      this.#revision = Math.max(this.#revision, update.revision)
      if (update.more !== true) this.#settleFirst(update.type)
      done(unenforced)
    }
    for (const resource of update.resources) {
      if (!subscription?.wants(resource.name)) continue
      open += 1
      const read = this.#read(update.type, resource, (failure) => {
        if (failure !== undefined && failure !== '') {
          subscription.versions.delete(resource.name)
          unenforced.push({ name: resource.name, faults: [fault('listener.port', { path: 'address', rule: `a port that can be bound: ${failure}` })] })
        }
        settled()
      })
      if (read.ok) {
        subscription.versions.set(resource.name, resource.version)
        // A copy: the bytes are a window on the whole response, which would be kept as long as any one of its resources.
        this.raw.put(update.type, { ...resource, bytes: resource.bytes.slice() })
      } else {
        open -= 1
        rejected.push({ name: resource.name, faults: read.faults })
      }
    }
    for (const name of update.removed) {
      subscription?.versions.delete(name)
      this.#remove(update.type, name)
    }
    settled()
    if (update.resources.length + update.removed.length > 0) for (const changed of this.#onChange) changed()
    return rejected
  }

  /** Starts from what an earlier process saved. What cannot be read any more is left out, and comes anew from the control plane. */
  restore(revision: number, byType: ReadonlyMap<TypeUrl, readonly RawResource[]>): void {
    for (const { type } of this.subscriptions) {
      const rejected = this.take({ type, revision, resources: byType.get(type) ?? [], removed: [] }, () => {})
      if (rejected.length > 0) this.#log.warn('plan.restore-refused', { type, resources: rejected.map(({ name }) => name) })
    }
  }

  #read(type: TypeUrl, { bytes, version, name }: RawResource, settled: Settled): Read<unknown> {
    const through = <Plan>(read: Read<Plan>, enter: (plan: Plan) => void): Read<Plan> => {
      if (read.ok) enter(read.plan)
      return read
    }
    switch (type) {
      case CLUSTER:
        return through(readCluster(bytes, version), (plan) => this.#enterCluster(plan, settled))
      case CLUSTER_LOAD_ASSIGNMENT:
        return through(readEndpoints(bytes, version), (plan) => this.#enterEndpoints(plan, settled))
      case LISTENER:
        return through(readListener(bytes, version), (plan) => this.#enterListener(plan, settled))
      case SCOPED_ROUTE_CONFIGURATION:
        return through(readScope(bytes, version), (plan) => this.#enterScope(plan, settled))
      case ROUTE_CONFIGURATION:
        return through(readRoute(bytes, version), (plan) => this.#enterTable(plan, settled))
      case NAME_TABLE:
        return through(readNames(name, bytes, version), (plan) => {
          this.names.set(name, plan)
          this.#onNames?.(name)
          settled()
        })
      case SECRET:
        return through(readSecret(bytes, version), (plan) => this.#enterSecret(name, plan, settled))
      default:
        throw new Error(`nothing subscribes to ${type}`)
    }
  }

  #enterCluster(plan: ClusterPlan, settled: Settled): void {
    const endpoints = plan.discovery === 'eds' ? [plan.endpointsName] : []
    const needs = endpoints.filter((name) => !this.endpoints.has(name)).map((name) => `eds ${name}`)
    this.#hold(`cds ${plan.name}`, { endpoints, secrets: secretsOfCluster(plan) }, needs, settled, () => {
      this.clusters.set(plan.name, plan)
      this.#follower?.applyCluster(plan.name)
    })
  }

  #enterEndpoints(plan: EndpointsPlan, settled: Settled): void {
    this.endpoints.set(plan.name, plan)
    this.#follower?.applyEndpoints(plan.name)
    this.#warming.arrived(`eds ${plan.name}`)
    settled()
  }

  #enterListener(plan: ListenerPlan, settled: Settled): void {
    const { names, scoped } = tablesOfListener(plan)
    const secrets = secretsOfListener(plan)
    const needs = [...names].filter((name) => !this.tables.has(name)).map((name) => `rds ${name}`)
    for (const name of secrets) if (!this.#heldSecrets.has(name)) needs.push(`sds ${name}`)
    if (scoped && this.#firsts.has(SCOPED_ROUTE_CONFIGURATION)) needs.push(firstKey(SCOPED_ROUTE_CONFIGURATION))
    this.#hold(`lds ${plan.name}`, { tables: names, secrets }, needs, settled, () => {
      this.listeners.set(plan.name, plan)
      return this.#follower?.applyListener(plan.name)
    })
  }

  #enterScope(plan: ScopePlan, settled: Settled): void {
    const needs = this.tables.has(plan.table) ? [] : [`rds ${plan.table}`]
    this.#hold(`srds ${plan.name}`, { tables: [plan.table] }, needs, settled, () => {
      const before = this.#scopeKeys.get(plan.name)
      if (before !== undefined && before !== plan.key) this.scopes.delete(before)
      this.#scopeKeys.set(plan.name, plan.key)
      this.scopes.set(plan.key, plan)
    })
  }

  /** A table waits for clusters that are on their way and have never served; one that no cluster answers to is the request's affair (flag NC). */
  #enterTable(plan: RouteTable, settled: Settled): void {
    const needs = [...clustersOfTable(plan)].filter((name) => !this.clusters.has(name) && this.#warming.has(`cds ${name}`)).map((name) => `cds ${name}`)
    if (this.#firsts.has(CLUSTER)) needs.push(firstKey(CLUSTER))
    this.#hold(`rds ${plan.name}`, {}, needs, settled, () => {
      this.tables.set(plan.name, plan)
    })
  }

  #enterSecret(name: string, plan: SecretPlan, settled: Settled): void {
    this.#heldSecrets.add(name)
    this.#secrets.put(plan)
    this.#warming.arrived(`sds ${name}`)
    settled()
  }

  /**
   * Puts a value in force once what it needs is here. Until then its demands stand beside those of the value in force, so that neither loses what it points at.
   */
  #hold(id: string, demands: Demands, needs: readonly string[], settled: Settled, enforce: () => Promise<string> | undefined | void): void {
    const pending = `${id} #${++this.#tokens}`
    this.#demand(pending, demands)
    this.#warming.hold(id, needs, (inForce) => {
      if (inForce) this.#demand(id, demands)
      const enforced = inForce ? enforce() : undefined
      this.#demand(pending, {})
      if (inForce) this.#warming.arrived(id)
      if (enforced) void enforced.then(settled)
      else settled()
    })
  }

  #demand(owner: string, { tables = [], endpoints = [], secrets = [] }: Demands): void {
    this.#interests.tables.set(owner, tables)
    this.#interests.endpoints.set(owner, endpoints)
    this.#interests.secrets.set(owner, secrets)
  }

  #remove(type: TypeUrl, name: string): void {
    switch (type) {
      case CLUSTER:
        this.#drop(`cds ${name}`)
        this.#warming.arrived(`cds ${name}`)
        if (this.clusters.delete(name)) this.#follower?.removeCluster(name)
        break
      case LISTENER:
        this.#drop(`lds ${name}`)
        if (this.listeners.delete(name)) this.#follower?.removeListener(name)
        break
      case SCOPED_ROUTE_CONFIGURATION: {
        this.#drop(`srds ${name}`)
        const key = this.#scopeKeys.get(name)
        this.#scopeKeys.delete(name)
        if (key !== undefined && this.scopes.get(key)?.name === name) this.scopes.delete(key)
        break
      }
      case NAME_TABLE:
        this.names.delete(name)
        this.#onNames?.(name)
        break
      case SECRET:
        this.#removeSecret(name)
        this.#warming.arrived(`sds ${name}`)
        break
      // Endpoints and tables that are removed while something points at them stay as they were, as in Envoy: to empty or close them the control plane sends their replacement.
      // What waited for one is told that none will come.
      case CLUSTER_LOAD_ASSIGNMENT:
        this.#warming.arrived(`eds ${name}`)
        return
      case ROUTE_CONFIGURATION:
        this.#warming.arrived(`rds ${name}`)
        return
      default:
    }
    this.raw.delete(type, name)
  }

  #drop(id: string): void {
    this.#warming.drop(id)
    this.#demand(id, {})
  }

  #removeSecret(name: string): void {
    if (this.#heldSecrets.delete(name)) this.#secrets.remove(name)
  }

  #interestIn(type: TypeUrl, dropped: (name: string) => void): Interest {
    return new Interest({
      added: (name) => this.#byType.get(type)?.want(name),
      dropped: (name) => {
        this.#byType.get(type)?.unwant(name)
        this.raw.delete(type, name)
        dropped(name)
      },
    })
  }

  #settleFirst(type: TypeUrl): void {
    if (!this.#firsts.delete(type)) return
    this.#warming.arrived(firstKey(type))
    if (!this.isWarm) return
    const listeners = this.#onWarm
    this.#onWarm = []
    for (const warm of listeners) warm()
  }
}
