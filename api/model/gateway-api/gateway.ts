import type { GatewayApiSpec } from '#core/resource/gateway-api-gateway.ts'
import type { ReferenceGrantSpec } from '#core/resource/reference-grant.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import type { Labels } from '../labels.ts'
import { GATEWAY_NAME_LABEL } from '../targets.ts'
import { writtenAnnotation } from '../written.ts'
import { admitsNamespace } from './admission.ts'
import { judgeCertificate } from './certificate.ts'
import type { JudgedCertificate } from './certificate.ts'

import type { JudgedListener } from './listener.ts'
import { fine, wrong } from './surroundings.ts'
import type { ApiObject, ConditionValue, ConditionValues, Surroundings } from './surroundings.ts'

/** The processes that serve a Gateway: those behind the Service that its address names, or those made for it. */
function processesOf(gateway: ApiObject<GatewayApiSpec>, around: Surroundings): { readonly labels: Labels; readonly namespace: string } {
  for (const { type, value } of gateway.spec.addresses ?? []) {
    const host = serviceHost(value ?? '', gateway.namespace, around)
    const labels = type === 'Hostname' && value !== undefined ? around.service(host)?.selector : undefined
    if (labels !== undefined) return { labels, namespace: host.split('.')[1] ?? gateway.namespace }
  }
  return { labels: { [GATEWAY_NAME_LABEL]: gateway.name }, namespace: gateway.namespace }
}

const serviceHost = (name: string, namespace: string, around: Surroundings): string => (name.includes('.') ? name : `${name}.${namespace}.${around.serviceDomain}`)

/** The namespace of the processes of a derived Gateway: another's processes that bear the same labels are not its own. */
export const PROCESSES_ANNOTATION = 'internal.istio.io/parent-namespace'

/** The secret of the certificate that a derived Gateway's processes show to backends. */
export const BACKEND_CERTIFICATE_ANNOTATION = 'internal.istio.io/backend-certificate'

/** A listener in Istio's model: a Gateway of one server, whose hosts say whose routes it takes. */
export function derivedGateway(judged: JudgedListener, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): ResourceObject | undefined {
  const { owner, gateway, listener, derived, tls } = judged
  if (derived === undefined) return undefined
  const { from = 'Same' } = listener.allowedRoutes?.namespaces ?? {}
  const host = listener.hostname ?? '*'
  const namespaces = from === 'All' ? ['*'] : from === 'Same' ? [owner.namespace] : around.namespaces().map((one) => one.name).filter((one) => admitsNamespace(judged, one, around)).sort()
  // No namespace may: the server is there, and nobody can bind to it.
  const hosts = namespaces.length === 0 ? [`~/${host}`] : namespaces.map((one) => `${one}/${host}`)
  const processes = processesOf(gateway, around)
  const backend = backendCertificate(gateway, grants, around)
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: derived, namespace: owner.namespace, annotations: { 'internal.istio.io/parents': `${owner.kind}/${owner.name}/${listener.name}.${owner.namespace}`, [PROCESSES_ANNOTATION]: processes.namespace, ...writtenAnnotation(new Map([['servers[0]', { resource: `${owner.kind}/${owner.namespace}/${owner.name}`, field: listenerField(judged) }]])), ...('credentialName' in backend ? { [BACKEND_CERTIFICATE_ANNOTATION]: backend.credentialName } : {}) } },
    spec: { selector: processes.labels, servers: [{ port: { name: 'default', number: listener.port, protocol: listener.protocol }, hosts, ...(tls === undefined ? {} : { tls }) }] },
  }
}

function listenerField({ owner, listener }: JudgedListener): string {
  const index = ((owner.spec as { readonly listeners?: readonly { readonly name: string }[] }).listeners ?? []).findIndex((one) => one.name === listener.name)
  return index < 0 ? 'listeners' : `listeners[${index}]`
}

/** The certificate that a Gateway shows to backends (gateway-api.sigs.k8s.io/geps/gep-3155); neither where it names none. */
function backendCertificate(gateway: ApiObject<GatewayApiSpec>, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): JudgedCertificate | Record<never, never> {
  const reference = gateway.spec.tls?.backend?.clientCertificateRef
  return reference === undefined ? {} : judgeCertificate(gateway, reference, grants, around)
}

/** Whether listeners of a whole object are valid, as its own condition tells it. */
const isValid = (one: JudgedListener): boolean => one.conditions['Accepted']?.[0] === 'True' && one.derived !== undefined

function acceptance(listeners: readonly JudgedListener[]): ConditionValue {
  const valid = listeners.filter(isValid).length
  if (listeners.length > 0 && valid === 0) return wrong('ListenersNotValid', "None of the Gateway's listeners are valid")
  return valid < listeners.length ? fine('ListenersNotValid', "Some of the Gateway's listeners are not valid") : fine('Accepted', 'Resource accepted')
}

/** What is told of a Gateway as a whole, or of listeners that were added to it. */
export interface WholeStatus {
  readonly conditions: ConditionValues
  readonly addresses: readonly { readonly type: string; readonly value: string }[]
}

/** Whether the addresses that a Gateway asks for are of a kind that it can have. */
export function unsupportedAddress(gateway: ApiObject<GatewayApiSpec>): Pick<ConditionValues, 'Accepted' | 'Programmed'> | undefined {
  const addresses = gateway.spec.addresses ?? []
  if (addresses.every((one) => ['Hostname', 'IPAddress'].includes(one.type ?? 'IPAddress'))) return undefined
  return { Accepted: wrong('UnsupportedAddress', `only Hostname is supported, ignoring [${addresses.map((one) => one.value).join(' ')}]`), Programmed: wrong('UnsupportedAddress', 'Failed to assign to any requested addresses') }
}

/** Parameters of a Gateway's infrastructure are for whoever runs its processes; that they are there is all that is asked here. */
function parametersComplaint({ namespace, spec }: ApiObject<GatewayApiSpec>, around: Surroundings): ConditionValue | undefined {
  const reference = spec.infrastructure?.parametersRef
  if (reference === undefined) return undefined
  const { group, kind, name } = reference
  if ((group !== '' && group !== 'core') || kind !== 'ConfigMap') return wrong('InvalidParameters', `unsupported parametersRef: group "${group}" kind "${kind}"`)
  return around.authorities('ConfigMap', namespace, name) === 'missing' ? wrong('InvalidParameters', `parametersRef ConfigMap ${namespace}/${name} not found`) : undefined
}

/** Whether clients of some port may do without a certificate that they are asked for (GatewayConditionInsecureFrontendValidationMode). */
function isInsecure({ spec: { tls } }: ApiObject<GatewayApiSpec>): boolean {
  const { default: ofAll, perPort = [] } = tls?.frontend ?? {}
  return [ofAll?.validation, ...perPort.map((one) => one.tls.validation)].some((one) => one?.mode === 'AllowInsecureFallback')
}

/** Conditions of a Gateway as a whole, and the addresses at which it is reached. `ports` are those of its listeners and of the ListenerSets that it takes; `judgesAll`: whether one bad listener shows. */
export function gatewayConditions(gateway: ApiObject<GatewayApiSpec>, listeners: readonly JudgedListener[], ports: readonly number[], judgesAll: boolean, grants: readonly ApiObject<ReferenceGrantSpec>[], around: Surroundings): WholeStatus {
  const backend = backendCertificate(gateway, grants, around)
  const resolved = 'problem' in backend ? wrong(backend.problem === 'not-permitted' ? 'RefNotPermitted' : 'InvalidClientCertificateRef', backend.message) : fine('ResolvedRefs', 'References resolved')
  const insecure: ConditionValues = isInsecure(gateway) ? { InsecureFrontendValidationMode: fine('ConfigurationChanged', 'Clients may leave out the certificates that they are asked for') } : {}
  const unsupported = unsupportedAddress(gateway)
  if (unsupported !== undefined) return { conditions: { ...unsupported, ResolvedRefs: resolved, ...insecure }, addresses: [] }
  const { programmed, addresses } = reachability(gateway, ports, around)
  const accepted = parametersComplaint(gateway, around) ?? (judgesAll ? acceptance(listeners) : fine('Accepted', 'Resource accepted'))
  return { conditions: { Accepted: accepted, Programmed: programmed, ResolvedRefs: resolved, ...insecure }, addresses }
}

/** Whether ports of a Gateway can be reached: each at the Service that an address names, or at processes of its own. */
function reachability(gateway: ApiObject<GatewayApiSpec>, ports: readonly number[], around: Surroundings): { readonly programmed: ConditionValue; readonly addresses: WholeStatus['addresses'] } {
  // One of a kind alone, without a value, asks for whichever there is.
  const addresses = (gateway.spec.addresses ?? []).filter((one) => one.value !== undefined && one.value !== '')
  const hosts = addresses.filter((one) => one.type === 'Hostname').map((one) => serviceHost(one.value ?? '', gateway.namespace, around))
  const services = hosts.map((host) => ({ host, found: around.service(host) }))
  const has = (found: NonNullable<(typeof services)[number]['found']>, port: number): boolean => found.ports.some((one) => one.port === port)
  const missing = services.flatMap(({ host, found }) => (found === undefined ? [`hostname "${host}" not found`] : ports.filter((port) => !has(found, port)).map((port) => `port ${port} not found for hostname "${host}"`)))
  if (addresses.length === 0 && !around.isServed({ namespace: gateway.namespace, name: gateway.name, className: gateway.spec.gatewayClassName })) missing.push('no process serves it')
  const reached = services.filter(({ found }) => found !== undefined && (ports.length === 0 || ports.some((port) => has(found, port)))).flatMap(({ found }) => (found?.addresses ?? []).map((value) => ({ type: 'IPAddress', value })))
  const programmed = missing.length > 0 ? wrong('AddressNotUsable', `Failed to assign to any requested addresses: ${missing.join('; ')}`) : fine('Programmed', 'Resource programmed')
  return { programmed, addresses: reached }
}

/** Conditions of a ListenerSet that its Gateway admits. */
export function listenerSetConditions(gateway: ApiObject<GatewayApiSpec>, listeners: readonly JudgedListener[], around: Surroundings): ConditionValues {
  if (!listeners.some(isValid)) {
    const none = wrong('ListenersNotValid', "None of the ListenerSet's listeners are valid")
    return { Accepted: none, Programmed: none }
  }
  return { Accepted: fine('Accepted', 'Resource accepted'), Programmed: reachability(gateway, listeners.map((one) => one.listener.port), around).programmed }
}
