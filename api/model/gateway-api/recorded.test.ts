import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ServiceEntrySpec } from '#core/resource/service-entry.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { deriveGatewayApi } from './derive.ts'
import type { Derived } from './derive.ts'
import type { ApiObject, GatewayApiObjects, Surroundings } from './surroundings.ts'

interface Row {
  readonly id: string
  readonly name: string
  readonly config: readonly ResourceObject[]
  readonly expect: { readonly status: Readonly<Record<string, RecordedStatus>>; readonly translated: readonly ResourceObject[] }
}
interface RecordedStatus {
  readonly conditions?: Readonly<Record<string, readonly [string, string]>>
  readonly listeners?: Readonly<Record<string, { readonly attachedRoutes?: number; readonly conditions: Readonly<Record<string, readonly [string, string]>>; readonly supportedKinds?: readonly string[] }>>
  readonly attachedListenerSets?: number
  readonly parents?: readonly RecordedParent[]
  readonly ancestors?: readonly RecordedParent[]
  readonly addresses?: unknown
}
interface RecordedParent {
  readonly ref: object
  readonly controller: string
  readonly conditions: Readonly<Record<string, readonly [string, string]>>
}
interface Around {
  readonly objects: readonly (ResourceObject & { readonly data?: Readonly<Record<string, string>> })[]
  readonly services: readonly { readonly host: string; readonly ports: readonly { readonly name: string; readonly port: number }[]; readonly external: { readonly Kubernetes?: readonly string[] } | null }[]
}

const folder = join(import.meta.dirname, '../../../../shared/data/istio')
const rowsPath = join(folder, 'gateway-api.jsonl')
const skip = existsSync(rowsPath) ? false : 'the recorded rows are not here'

const DOMAIN = 'domain.suffix'
const apiOf = <Spec>(one: ResourceObject): ApiObject<Spec> => ({
  kind: one.kind,
  namespace: one.metadata.namespace ?? (one.kind === 'GatewayClass' ? '' : 'default'),
  name: one.metadata.name,
  createdAtMs: one.metadata.creationTimestamp === undefined ? 0 : Date.parse(one.metadata.creationTimestamp),
  annotations: one.metadata.annotations ?? {},
  spec: (one.spec ?? {}) as Spec,
})

function surroundingsOf(row: Row, around: Around): Surroundings {
  const all = [...around.objects, ...row.config] as Around['objects']
  return {
    serviceDomain: `svc.${DOMAIN}`,
    // As in Istio's own tests: every namespace that an object is in, labelled by the first part of its name.
    namespaces: () => [...new Set(row.config.flatMap((one) => one.metadata.namespace ?? []))].sort().map((name) => ({ name, labels: { 'istio.io/test-name-part': name.split('-')[0] ?? '' } })),
    service(host) {
      const found = around.services.find((one) => one.host === host)
      const own = row.config.find((one) => one.kind === 'Service' && `${one.metadata.name}.${one.metadata.namespace}.svc.${DOMAIN}` === host)
      const entry = row.config.find((one) => one.kind === 'ServiceEntry' && (one.spec as ServiceEntrySpec).hosts.includes(host))
      if (found === undefined && own === undefined && entry === undefined) return undefined
      const ports = found?.ports ?? (own?.spec as { ports?: { name: string; port: number }[] } | undefined)?.ports ?? (entry?.spec as ServiceEntrySpec | undefined)?.ports?.map((one) => ({ name: one.name, port: one.number })) ?? []
      return { ports, selector: undefined, addresses: found?.external?.Kubernetes ?? [] }
    },
    serviceEntry(namespace, name) {
      const found = row.config.find((one) => one.kind === 'ServiceEntry' && one.metadata.namespace === namespace && one.metadata.name === name)?.spec as ServiceEntrySpec | undefined
      return found && { hosts: found.hosts, ports: (found.ports ?? []).map((one) => ({ name: one.name, port: one.number })) }
    },
    authorities(kind, namespace, name) {
      const found = all.find((one) => one.kind === kind && one.metadata.namespace === namespace && one.metadata.name === name)
      if (found === undefined) return 'missing'
      return found.data?.['ca.crt']?.includes('<certificate>') === true ? 'usable' : 'malformed'
    },
    secret(namespace, name) {
      const found = all.find((one) => one.kind === 'Secret' && one.metadata.namespace === namespace && one.metadata.name === name)
      if (found === undefined) return 'missing'
      return found.data?.['tls.crt']?.includes('<certificate>') === true ? 'usable' : 'malformed'
    },
    isServed: ({ namespace, name, className }) => around.services.some((one) => one.host === `${name}-${className}.${namespace}.svc.${DOMAIN}`),
  }
}

const of = <Spec>(row: Row, ...kinds: string[]): ApiObject<Spec>[] => row.config.filter((one) => kinds.includes(one.kind)).map((one) => apiOf<Spec>(one))

const derive = (row: Row, around: Around): Derived => {
  const objects: GatewayApiObjects = { classes: of(row, 'GatewayClass'), gateways: of(row, 'Gateway'), listenerSets: of(row, 'ListenerSet'), routes: of(row, 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'), grants: of(row, 'ReferenceGrant'), tlsPolicies: of(row, 'BackendTLSPolicy'), backends: of(row, 'XBackend'), trafficPolicies: of(row, 'XBackendTrafficPolicy') }
  return deriveGatewayApi(objects, surroundingsOf(row, around))
}

const conditions = (of: Readonly<Record<string, readonly unknown[]>> | undefined): unknown => Object.fromEntries(Object.entries(of ?? {}).map(([type, [status, reason]]) => [type, [status, reason]]))

/** What rows say of a status, in one order; words are not compared. */
const plain = (status: RecordedStatus | undefined): unknown =>
  status && {
    conditions: conditions(status.conditions),
    addresses: status.addresses ?? [],
    listeners: Object.fromEntries(Object.entries(status.listeners ?? {}).map(([name, one]) => [name, { attachedRoutes: one.attachedRoutes ?? 0, conditions: conditions(one.conditions), supportedKinds: one.supportedKinds ?? [] }])),
    attachedListenerSets: status.attachedListenerSets ?? 0,
    parents: parentsOf(status.parents),
    ancestors: parentsOf(status.ancestors),
  }

/** What other controllers have told is kept by whoever stores the status. */
const parentsOf = (list: readonly RecordedParent[] = []): unknown =>
  list
    .filter((one) => one.controller.startsWith('istio.io/'))
    .map((one) => ({ ref: Object.entries(one.ref).sort(), controller: one.controller, conditions: conditions(one.conditions) }))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

/** What is compared of an object: how it is selected is Weft's own, and that a backend's certificate bears its name where a policy lists none. A destination that Istio leaves empty answers with an error, and a route of nothing else is that error. */
function spec(one: ResourceObject): unknown {
  const { selector: _, ...rest } = one.spec as Record<string, unknown>
  return JSON.parse(JSON.stringify(rest), (key, value: unknown) => {
    if (key === 'tls' && typeof value === 'object' && value !== null && Object.keys(value).length === 0) return { mode: 'PASSTHROUGH' }
    if (key === 'destination') return (value as { host?: string }).host === 'invalid-backend.invalid' ? {} : value
    if (key === 'tls' && typeof value === 'object' && value !== null && 'subjectAltNames' in value && 'sni' in value) {
      const { subjectAltNames, ...others } = value
      return JSON.stringify(subjectAltNames) === JSON.stringify([others.sni]) ? others : value
    }
    if (typeof value !== 'object' || value === null || !('route' in value) || !Array.isArray(value.route)) return value
    const { route, ...others } = value
    return route.every((to: { destination?: object }) => Object.keys(to.destination ?? {}).length === 0) ? { ...others, directResponse: { status: 500 } } : value
  })
}

function judge(row: Row, around: Around): string[] {
  const derived = derive(row, around)
  const differences: string[] = []
  const same = (what: string, got: unknown, want: unknown): void => {
    try {
      assert.deepEqual(got, want)
    } catch {
      differences.push(process.env['WEFT_SHOW'] === '1' ? `${what}\n   got  ${JSON.stringify(got)}\n   want ${JSON.stringify(want)}` : what)
    }
  }
  for (const [key, want] of Object.entries(row.expect.status)) same(`status ${key}`, plain(derived.status.get(key) as RecordedStatus | undefined), Object.keys(want).length === 0 ? undefined : plain(want))
  const made = new Map(derived.objects.map((one) => [`${one.kind} ${one.metadata.namespace}/${one.metadata.name}`, one]))
  for (const want of row.expect.translated) {
    const key = `${want.kind} ${want.metadata.namespace}/${want.metadata.name}`
    const got = made.get(key)
    same(key, got === undefined ? undefined : spec(got), spec(want))
    made.delete(key)
  }
  // Istio keeps hosts of backends outside in another collection.
  for (const key of made.keys()) if (!key.startsWith('ServiceEntry ')) differences.push(`beyond: ${key}`)
  return differences
}

test('recorded Gateway API objects get the status that Istio gives, and amount to the same', { skip }, async (context) => {
  const rows = readFileSync(rowsPath, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Row)
  const around = JSON.parse(readFileSync(join(folder, 'gateway-api-surroundings.json'), 'utf8')) as Around
  for (const row of rows) await context.test(row.name, () => assert.deepEqual(judge(row, around), []))
})
