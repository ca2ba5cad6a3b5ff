import { z } from 'zod'
import { applyRequest, applyResponse } from '#core/contract/apply.ts'
import type { ApplyRequest, ApplyResponse } from '#core/contract/apply.ts'
import { historyEntry, historyQuery, resourceQuery } from '#core/contract/history.ts'
import { page } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { Fault } from '#core/fault/fault.ts'
import { readDocuments } from '#core/resource/documents.ts'
import { parseObject } from '#core/resource/parse.ts'
import { redact } from '#core/resource/redact.ts'
import { kindByName } from '#core/resource/registry.ts'
import type { HistoryEntry, Mesh, ResourceKey } from '#db/store.ts'
import { permitNamespace } from '../access/check.ts'
import { quotaOf } from '../access/quota.ts'
import type { Target } from '../apply/target.ts'
import { applyChange, everyResource, keyOf } from '../apply/apply.ts'
import type { Proposal, Removal } from '../apply/apply.ts'
import { present } from '../kube/present.ts'
import type { ApiDoors } from './doors.ts'
import { MESH, meshTarget } from './meshes.ts'
import type { Route } from './route.ts'

const PAGE_DEFAULT = 100
export const DEFAULT_NAMESPACE = 'default'

export const configurationRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: `${MESH}/apply`,
    summary: 'Stores objects in one transaction, all or none, as one revision. The same as before is unchanged.',
    body: applyRequest,
    answers: { status: 200, schema: applyResponse },
    idempotent: true,
    async handle(request) {
      const target = await meshTarget(request, 'write', 'any')
      return { json: await applyAll(request.doors, target, await request.body(applyRequest)) }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/resources`,
    summary: 'Objects of the configuration, secrets hidden.',
    query: resourceQuery,
    answers: { status: 200, schema: page(z.looseObject({})).extend({ revision: z.int() }) },
    async handle(request) {
      const { actor, mesh } = await meshTarget(request, 'read', 'any')
      const { limit, cursor, labels, group, kind, namespace, name } = request.query(resourceQuery)
      permitNamespace(actor, namespace)
      const filter = {
        ...(group === undefined ? {} : { group }),
        ...(kind === undefined ? {} : { kind }),
        ...(namespace === undefined ? {} : { namespace }),
        ...(name === undefined ? {} : { name }),
        ...(labels === undefined ? {} : { labels: labelsOf(labels) }),
      }
      const found = await request.doors.store.listResources(mesh.organizationId, mesh.id, filter, { limit: limit ?? PAGE_DEFAULT, ...(cursor === undefined ? {} : { cursor }) })
      const items = found.items.flatMap((stored) => {
        const of = kindByName(stored.key.group, stored.key.kind)
        return of === undefined ? [] : [present(request.doors, mesh, of, stored)]
      })
      return { json: { items, next: found.next ?? null, revision: found.revision } }
    },
  },
  {
    method: 'GET',
    path: `${MESH}/history`,
    summary: 'Who changed what, when and why, the newest first; of one object when group, kind and name are given.',
    query: historyQuery,
    answers: { status: 200, schema: page(historyEntry) },
    async handle(request) {
      const { actor, mesh } = await meshTarget(request, 'read', 'any')
      const { limit, cursor, after, group, kind, namespace, name } = request.query(historyQuery)
      permitNamespace(actor, kind === undefined ? undefined : namespace)
      if ((kind === undefined) !== (name === undefined)) throw new Faults([fault('request.invalid', { path: kind === undefined ? 'kind' : 'name', rule: 'kind and name together, or neither' })])
      const key: ResourceKey | undefined = kind === undefined || name === undefined ? undefined : { group: group ?? '', kind, namespace: namespace ?? '', name }
      const found = await request.doors.store.history(mesh.organizationId, mesh.id, { ...(key === undefined ? {} : { key }), ...(after === undefined ? {} : { afterRevision: after }) }, { limit: limit ?? PAGE_DEFAULT, ...(cursor === undefined ? {} : { cursor }) })
      return { json: { items: found.items.map((entry) => ({ ...shownEntry(entry), push: request.doors.pushTimes(mesh.id, entry.revision) ?? null })), next: found.next ?? null } }
    },
  },
]

const shownEntry = (of: HistoryEntry) => ({
  revision: of.revision,
  ...of.key,
  operation: of.operation,
  author: of.author,
  message: of.message,
  at: new Date(of.atMs).toISOString(),
  object: of.object === null ? null : redact(of.object),
})

async function applyAll(doors: ApiDoors, { actor, mesh, organization }: Target, wanted: ApplyRequest): Promise<ApplyResponse> {
  const proposals = proposalsOf(wanted)
  if (proposals.length === 0 && wanted.prune === undefined) throw new Faults([fault('request.invalid', { path: 'files', rule: 'at least one object' })])
  const removals = wanted.prune === undefined ? [] : await leftOver(doors, mesh, proposals, wanted.prune.labels, actor.namespaces)
  const applied = await applyChange(doors, mesh, {
    puts: proposals,
    removals,
    by: { author: actor.name, message: wanted.message ?? '' },
    namespaces: actor.namespaces,
    quota: quotaOf(organization),
    dryRun: wanted.dryRun ?? false,
    defaultNamespace: DEFAULT_NAMESPACE,
  })
  const results = applied.results.map(({ key, verdict }) => ({ name: wordOf(key), kind: key.kind, namespace: key.namespace, verdict }))
  return { revision: applied.revision, results: [...results, ...proposals.flatMap(skippedResult)], warnings: [...applied.warnings] }
}

/** @throws Faults of every file that cannot be read */
export function proposalsOf(wanted: Pick<ApplyRequest, 'objects' | 'files'>): Proposal[] {
  const proposals: Proposal[] = (wanted.objects ?? []).map((value) => ({ value }))
  const unreadable: Fault[] = []
  for (const { name, text } of wanted.files ?? []) {
    const { documents, faults } = readDocuments(text, name)
    unreadable.push(...faults)
    for (const document of documents) proposals.push({ value: document.value, source: { file: name, lineOf: (path) => document.lineOf(path) } })
  }
  if (unreadable.length > 0) throw new Faults(unreadable)
  return proposals
}

/** `virtualservice.networking.istio.io/order-service` */
export function wordOf(key: ResourceKey): string {
  const kind = kindByName(key.group, key.kind)
  const word = kind?.singular ?? key.kind.toLowerCase()
  return `${key.group === '' ? word : `${word}.${key.group}`}/${key.name}`
}

export function skippedResult({ value }: Proposal): ApplyResponse['results'] {
  const parsed = parseObject(value)
  if (parsed.object !== undefined || !parsed.skipped) return []
  const { kind, metadata } = value as { kind: string; metadata?: { name?: unknown; namespace?: unknown } }
  return [{ name: `${kind.toLowerCase()}/${String(metadata?.name ?? '')}`, kind, namespace: String(metadata?.namespace ?? ''), verdict: 'skipped' }]
}

/** What bears the labels and is not among the objects, within the key's namespaces. Namespaces stay: with one would go what nobody asked to prune. */
async function leftOver(doors: ApiDoors, mesh: Mesh, proposals: readonly Proposal[], labels: Readonly<Record<string, string>>, namespaces: readonly string[] | null): Promise<Removal[]> {
  if (Object.keys(labels).length === 0) throw new Faults([fault('request.invalid', { path: 'prune.labels', rule: 'at least one label', hint: 'without one, everything else would be deleted' })])
  const kept = new Set(
    proposals.flatMap(({ value }) => {
      const { object, kind } = parseObject(value, { defaultNamespace: DEFAULT_NAMESPACE })
      return object === undefined || kind === undefined ? [] : [JSON.stringify(keyOf(kind, object))]
    }),
  )
  const removals: Removal[] = []
  for await (const { key } of everyResource(doors, mesh, { labels })) {
    const { group, kind, namespace, name } = key
    if (kind !== 'Namespace' && namespaces?.includes(namespace) !== false && !kept.has(JSON.stringify({ group, kind, namespace, name }))) removals.push({ key })
  }
  return removals
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map((term) => {
      const [name, value, ...more] = term.split('=')
      if (!name || value === undefined || more.length > 0) throw new Faults([fault('request.invalid', { path: 'labels', value: term, rule: 'KEY=VALUE' })])
      return [name, value]
    }),
  )
}
