import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readDocuments } from '#core/resource/documents.ts'
import type { ResourceObject } from '#core/resource/object.ts'

const root = join(import.meta.dirname, '../..')

/** Kinds that both judge by the same rules. */
const KINDS = new Set(['VirtualService', 'DestinationRule', 'Gateway', 'ServiceEntry', 'Sidecar', 'WorkloadEntry', 'WorkloadGroup', 'ProxyConfig', 'PeerAuthentication', 'RequestAuthentication', 'AuthorizationPolicy', 'Telemetry', 'EnvoyFilter', 'WasmPlugin'])
const GROUPS = /\.istio\.io\//

/** Objects of Istio's kinds to begin with, each once: those of the golden cases, and those that were recorded where they lie beside the repository. */
export function knownObjects(): ResourceObject[] {
  const found = new Map<string, ResourceObject>()
  for (const object of [...ofCases(), ...ofRecordings()]) {
    if (!KINDS.has(object.kind) || !GROUPS.test(object.apiVersion) || JSON.stringify(object).length > 20_000) continue
    const { name, namespace = 'default', labels } = object.metadata
    const { cluster: _, ...rest } = object
    found.set(JSON.stringify([object.kind, object['spec']]), { ...rest, apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) } })
  }
  return [...found.values()]
}

function* ofCases(): Iterable<ResourceObject> {
  for (const file of globSync('api/translate/cases/*/mesh.yaml', { cwd: root }).sort()) {
    for (const { value } of readDocuments(readFileSync(join(root, file), 'utf8'), file).documents) if (isObject(value)) yield value
  }
}

function* ofRecordings(): Iterable<ResourceObject> {
  const folder = join(root, '../shared/data/istio')
  for (const file of ['validation', 'crd-validation', 'simulation-configs', 'scenarios-configs', 'access-configs']) {
    const path = join(folder, `${file}.jsonl`)
    if (!existsSync(path)) continue
    for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
      const { object, objects = [] } = JSON.parse(line) as { object?: unknown; objects?: unknown[] }
      for (const one of [object, ...objects]) if (isObject(one)) yield one
    }
  }
}

const isObject = (value: unknown): value is ResourceObject => typeof value === 'object' && value !== null && 'kind' in value && 'apiVersion' in value && 'metadata' in value
