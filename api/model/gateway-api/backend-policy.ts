import type { BackendTlsPolicySpec, BackendValidation } from '#core/resource/backend-tls-policy.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { ClientTls } from '#core/resource/traffic-policy.ts'
import type { XBackendSpec } from '#core/resource/x-backend.ts'
import type { XBackendTrafficPolicySpec } from '#core/resource/x-backend-traffic-policy.ts'
import { judgeAuthority } from './authority.ts'
import { DERIVED } from './listener.ts'
import { byAge } from './listener-set.ts'
import { SESSION_ANNOTATION, sessionFrom } from './session.ts'
import type { Session } from './session.ts'
import { fine, GATEWAY_API, MESH_CONTROLLER, wrong } from './surroundings.ts'
import type { ApiObject, ApiStatus, ConditionValue, GatewayApiObjects, NamedPort, ParentReference, ParentStatus, Surroundings } from './surroundings.ts'

/** A Gateway whose routes lead to a backend. */
export interface AncestorGateway {
  readonly namespace: string
  readonly name: string
  readonly controller: string
}

/** What policies and backends are judged by beside themselves. `ancestors` are the Gateways whose routes lead to an object, by `GROUP/KIND/NAMESPACE/NAME`. */
export interface PolicyContext {
  readonly objects: GatewayApiObjects
  readonly around: Surroundings
  readonly ancestors: ReadonlyMap<string, readonly AncestorGateway[]>
}

export interface DerivedPolicies {
  readonly objects: readonly ResourceObject[]
  readonly status: ReadonlyMap<ApiObject, ApiStatus>
}

/** Where certificates are asked for that cannot be verified: calls fail, for nobody would know whom they reach. */
export const NO_AUTHORITY = 'invalid://'

/** What is done for one host, put together from the policies that name it. */
interface HostPolicy {
  readonly namespace: string
  readonly host: string
  readonly parents: string[]
  readonly trafficPolicy: { loadBalancer?: object; retryBudget?: object; tls?: ClientTls; portLevelSettings?: { port: { number: number }; tls: ClientTls }[] }
  createdAtMs: number
  session?: Session
}

/** BackendTLSPolicies, XBackendTrafficPolicies and XBackends: DestinationRules of Istio's model, and what is told of each. */
export function derivePolicies(context: PolicyContext): DerivedPolicies {
  const { objects } = context
  const rules = new Map<string, HostPolicy>()
  const status = new Map<ApiObject, ApiStatus>()
  const taken = new Map<string, string>()
  for (const policy of [...objects.tlsPolicies].sort(byAge)) status.set(policy, { ancestors: tlsPolicyAncestors(policy, context, taken, rules) })
  for (const policy of [...objects.trafficPolicies].sort(byAge)) status.set(policy, { ancestors: trafficPolicyAncestors(policy, context, rules) })
  const entries: ResourceObject[] = []
  for (const backend of [...objects.backends].sort(byAge)) status.set(backend, { parents: backendParents(backend, context, rules, entries) })
  const derived = [...rules].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, rule]) => destinationRule(name.slice(name.indexOf('/') + 1), rule))
  return { objects: [...derived, ...entries], status }
}

function destinationRule(name: string, { namespace, host, parents, trafficPolicy, createdAtMs, session }: HostPolicy): ResourceObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name, namespace, ...(createdAtMs > 0 ? { creationTimestamp: new Date(createdAtMs).toISOString() } : {}), annotations: { 'internal.istio.io/parents': parents.join(','), ...(session === undefined ? {} : { [SESSION_ANNOTATION]: JSON.stringify(session) }) } },
    spec: { host, trafficPolicy },
  }
}

function ruleOf(rules: Map<string, HostPolicy>, owner: ApiObject, name: string, host: string): HostPolicy {
  const id = `${owner.namespace}/${name}~${DERIVED}`
  let rule = rules.get(id)
  if (rule === undefined) rules.set(id, (rule = { namespace: owner.namespace, host, parents: [], trafficPolicy: {}, createdAtMs: owner.createdAtMs }))
  const parent = `${owner.kind}/${owner.namespace}.${owner.name}`
  if (!rule.parents.includes(parent)) rule.parents.push(parent)
  return rule
}

const dashed = (host: string): string => host.replaceAll('.', '-')

/** What a policy counts for: hosts by the name of their rule, and their ports; undefined: it is not there. */
function targetHosts({ group, kind, name }: { readonly group: string; readonly kind: string; readonly name: string }, namespace: string, { objects, around }: PolicyContext): { readonly hosts: readonly { readonly rule: string; readonly host: string }[]; readonly ports: readonly NamedPort[] } | undefined {
  if ((group === '' || group === 'core') && kind === 'Service') {
    const host = `${name}.${namespace}.${around.serviceDomain}`
    const found = around.service(host)
    return found && { hosts: [{ rule: name, host }], ports: found.ports }
  }
  if (group === 'networking.istio.io' && kind === 'ServiceEntry') {
    const found = around.serviceEntry(namespace, name)
    return found && { hosts: found.hosts.map((host) => ({ rule: `${name}~${dashed(host)}`, host })), ports: found.ports }
  }
  const backend = kind === 'XBackend' ? objects.backends.find((one) => one.namespace === namespace && one.name === name) : undefined
  const host = backend?.spec.externalHostname?.hostname
  return host === undefined || backend === undefined ? undefined : { hosts: [{ rule: `${name}~${dashed(host)}`, host }], ports: [{ name: '', port: backend.spec.port.port }] }
}

const RESOLVED = fine('ResolvedRefs', 'Configuration is valid')
const ACCEPTED = fine('Accepted', 'Configuration is valid')

/** Whether the authorities of a policy can be believed, and how TLS is spoken then. */
function judgeValidation(owner: ApiObject, validation: BackendValidation, around: Surroundings): { readonly tls: ClientTls; readonly accepted: ConditionValue; readonly resolved: ConditionValue } {
  const sans = (validation.subjectAltNames ?? []).flatMap((one) => one.hostname ?? one.uri ?? [])
  // The certificate bears the host's name, or one of those that are listed in its place.
  const names = { sni: validation.hostname, subjectAltNames: sans.length > 0 ? sans : [validation.hostname] }
  const { caCertificateRefs: references = [], wellKnownCACertificates } = validation
  if (wellKnownCACertificates === 'System') return { tls: { mode: 'SIMPLE', ...names }, accepted: ACCEPTED, resolved: RESOLVED }
  // Every reference leads into the policy's own namespace.
  const judged = references.map((one) => judgeAuthority(owner, one, [], around))
  const usable = judged.flatMap((one) => ('credential' in one ? [one.credential] : []))
  if (usable.length > 0) return { tls: { mode: 'SIMPLE', credentialName: usable.join(','), ...names }, accepted: ACCEPTED, resolved: RESOLVED }
  const [problem] = judged.flatMap((one) => ('problem' in one ? [one] : []))
  const words = problem?.message ?? ''
  return {
    tls: { mode: 'SIMPLE', credentialName: NO_AUTHORITY, ...names },
    accepted: wrong('NoValidCACertificate', `Certificate reference invalid: ${words}`),
    resolved: problem?.problem === 'kind' ? wrong('InvalidKind', `Certificate reference not supported: ${words}`) : wrong('InvalidCACertificateRef', `Certificate reference not found: ${words}`),
  }
}

/** The annotation by which an operator keeps a policy from this controller. */
const IGNORE = 'istio.io/ignore-policy-attachment'

type TlsTarget = BackendTlsPolicySpec['targetRefs'][number]

function tlsPolicyAncestors(policy: ApiObject<BackendTlsPolicySpec>, context: PolicyContext, taken: Map<string, string>, rules: Map<string, HostPolicy>): ParentStatus[] {
  const { targetRefs, validation } = policy.spec
  if (policy.annotations[IGNORE] === 'true') return targetRefs.map((ref) => ({ ref, controller: MESH_CONTROLLER, conditions: { Accepted: wrong('IgnoredByIstio', `Ignored by Istio due to annotation ${IGNORE}=true`) } }))
  const judged = judgeValidation(policy, validation, context.around)
  const ofTargets = targetRefs.map((ref): ParentStatus => ({ ref, controller: MESH_CONTROLLER, conditions: { Accepted: acceptTarget(policy, ref, judged, context, taken, rules), ResolvedRefs: judged.resolved } }))
  const gateways = new Map(targetRefs.flatMap((ref) => context.ancestors.get(`${coreGroup(ref.group)}/${ref.kind}/${policy.namespace}/${ref.name}`) ?? []).map((one) => [`${one.namespace}/${one.name}`, one]))
  // A Gateway is told the worst of what its backends have.
  const worst = ofTargets.find((one) => one.conditions['Accepted']?.[0] !== 'True') ?? ofTargets[0]
  const ofGateways = [...gateways.values()].map(({ name, controller }): ParentStatus => ({ ref: { group: GATEWAY_API, kind: 'Gateway', name }, controller, conditions: worst?.conditions ?? {} }))
  return [...ofTargets, ...ofGateways]
}

function acceptTarget(policy: ApiObject<BackendTlsPolicySpec>, ref: TlsTarget, { tls, accepted }: ReturnType<typeof judgeValidation>, context: PolicyContext, taken: Map<string, string>, rules: Map<string, HostPolicy>): ConditionValue {
  const about = `${ref.kind} ${policy.namespace}/${ref.name}`
  const target = targetHosts(ref, policy.namespace, context)
  if (target === undefined) return wrong('TargetNotFound', `targetRefs invalid: ${about} does not exist`)
  const port = ref.sectionName === undefined ? undefined : target.ports.find((one) => one.name === ref.sectionName)
  if (ref.sectionName !== undefined && port === undefined) return wrong('TargetNotFound', `targetRefs invalid: sectionName "${ref.sectionName}" does not exist in ${about}`)
  const place = `${coreGroup(ref.group)}/${about}/${ref.sectionName ?? ''}`
  const holder = taken.get(place)
  if (holder !== undefined) return wrong('Conflicted', `Conflicts with BackendTLSPolicy "${holder}" targeting the same backend`)
  taken.set(place, policy.name)
  for (const { rule: name, host } of target.hosts) {
    const { trafficPolicy } = ruleOf(rules, policy, name, host)
    if (port === undefined) trafficPolicy.tls = tls
    else (trafficPolicy.portLevelSettings ??= []).push({ port: { number: port.port }, tls })
  }
  return accepted
}

const coreGroup = (group: string): string => (group === 'core' ? '' : group)

function trafficPolicyAncestors(policy: ApiObject<XBackendTrafficPolicySpec>, context: PolicyContext, rules: Map<string, HostPolicy>): ParentStatus[] {
  const { targetRefs, retryConstraint, sessionPersistence } = policy.spec
  return targetRefs.map((ref): ParentStatus => {
    const target = targetHosts(ref, policy.namespace, context)
    const told = (accepted: ConditionValue): ParentStatus => ({ ref, controller: MESH_CONTROLLER, conditions: { Accepted: accepted } })
    if (target === undefined) return told(wrong('TargetNotFound', `targetRefs invalid: ${ref.kind} ${policy.namespace}/${ref.name} does not exist`))
    for (const { rule: name, host } of target.hosts) {
      const rule = ruleOf(rules, policy, name, host)
      const { trafficPolicy } = rule
      trafficPolicy.loadBalancer = {}
      if (sessionPersistence !== undefined) rule.session ??= sessionFrom(sessionPersistence)
      if (retryConstraint === undefined) continue
      // As the kind's own schema in a cluster has it where nothing is said.
      const { budget, minRetryRate = { count: 10 } } = retryConstraint
      trafficPolicy.retryBudget = { ...(budget?.percent === undefined ? {} : { percent: budget.percent }), ...(budget?.interval === undefined ? {} : { budgetInterval: budget.interval }), ...(minRetryRate.count === undefined ? {} : { minRetryConcurrency: minRetryRate.count }) }
    }
    return told(ACCEPTED)
  })
}

/** Whether a backend asks for what cannot be done: it is not called at all then. */
export const isUnservedBackend = ({ tls }: XBackendSpec): boolean => tls?.mode === 'ClientAndServer'

/** A backend outside: the host in the mesh's registry, and TLS towards it. */
function backendParents(backend: ApiObject<XBackendSpec>, context: PolicyContext, rules: Map<string, HostPolicy>, entries: ResourceObject[]): ParentStatus[] {
  const { spec } = backend
  const host = spec.externalHostname?.hostname ?? ''
  const own: ParentReference = { group: backendGroup(backend), kind: backend.kind, name: backend.name }
  if (isUnservedBackend(spec)) {
    return [{ ref: own, controller: MESH_CONTROLLER, conditions: { Accepted: wrong('Invalid', 'unsupported ClientAndServer TLS mode: client certificates towards a backend are named by the Gateway'), ResolvedRefs: RESOLVED } }]
  }
  const judged = spec.tls?.validation === undefined ? { tls: undefined, accepted: ACCEPTED, resolved: RESOLVED } : judgeValidation(backend, spec.tls.validation, context.around)
  const conditions = { Accepted: judged.accepted, ResolvedRefs: judged.resolved }
  if (spec.tls?.mode === 'ServerOnly') {
    const name = spec.tls.sni ?? host
    // It may be asked for by another name than the one that its certificate must bear.
    const tls: ClientTls = judged.tls === undefined ? { mode: 'SIMPLE', sni: name, subjectAltNames: [name] } : { ...judged.tls, ...(spec.tls.sni === undefined ? {} : { sni: name }) }
    ;(ruleOf(rules, backend, `${backend.name}~${dashed(host)}`, host).trafficPolicy.portLevelSettings ??= []).push({ port: { number: spec.port.port }, tls })
  }
  entries.push(serviceEntry(backend, host))
  const gateways = context.ancestors.get(`${backendGroup(backend)}/${backend.kind}/${backend.namespace}/${backend.name}`) ?? []
  return [{ ref: own, controller: MESH_CONTROLLER, conditions }, ...gateways.map(({ namespace, name, controller }) => ({ ref: { group: GATEWAY_API, kind: 'Gateway', name, namespace }, controller, conditions }))]
}

const backendGroup = (backend: ApiObject): string => (backend.kind === 'XBackend' ? 'gateway.networking.x-k8s.io' : GATEWAY_API)

const PROTOCOLS = { HTTP: 'HTTP', HTTP2: 'HTTP2', TCP: 'TCP' } as const

/** A backend's host in the mesh's registry: found by DNS, outside of the mesh. */
function serviceEntry(backend: ApiObject<XBackendSpec>, host: string): ResourceObject {
  const { port, protocol = 'HTTP' } = backend.spec
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: `${backend.name}~${dashed(host)}~${DERIVED}`, namespace: backend.namespace, annotations: { 'internal.istio.io/parents': `${backend.kind}/${backend.namespace}.${backend.name}` } },
    spec: { hosts: [host], location: 'MESH_EXTERNAL', resolution: 'DNS', ports: [{ number: port.port, name: protocol.toLowerCase(), protocol: PROTOCOLS[protocol] }] },
  }
}
