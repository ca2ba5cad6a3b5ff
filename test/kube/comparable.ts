// What two servers of one API must agree in: meaning, and not identities, times or words.

type Json = Readonly<Record<string, unknown>>
const isJson = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Versions and ids by the order in which they were first seen: equal ones stay equal, and new ones are new. */
export class Ages {
  readonly #seen = new Map<string, number>()

  of(kind: string, value: unknown): string | undefined {
    if (typeof value !== 'string' || value === '') return value === undefined ? undefined : String(value)
    const place = `${kind} ${value}`
    const known = this.#seen.get(place) ?? [...this.#seen.keys()].filter((one) => one.startsWith(`${kind} `)).length + 1
    this.#seen.set(place, known)
    return `${kind}#${known}`
  }
}

/** A dotted path into a value: `items.0.metadata.name`; a backslash keeps a dot of a name. */
export function valueAt(root: unknown, path: string): unknown {
  let at = root
  for (const step of path.split(/(?<!\\)\./).map((one) => one.replaceAll('\\.', '.'))) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}

export function comparable(body: unknown, ages: Ages, namespace: string): unknown {
  const seen = shown(body, ages)
  return JSON.parse(JSON.stringify(seen ?? null).replaceAll(namespace, 'NS'))
}

function shown(body: unknown, ages: Ages): unknown {
  if (!isJson(body)) return typeof body === 'string' ? body.trim() : body
  const { kind } = body
  if (kind === 'Status') return statusShown(body, ages)
  if (kind === 'Table') return tableShown(body, ages)
  if (kind === 'APIResourceList') return { ...body, resources: byName((body['resources'] ?? []) as readonly Json[]).map((one) => ({ ...one, storageVersionHash: undefined })) }
  if (kind === 'APIVersions') return { kind, versions: body['versions'] }
  if (kind === 'APIGroupDiscoveryList') return { kind, apiVersion: body['apiVersion'], items: byName((body['items'] as readonly Json[]).filter((one) => / |istio\.io|gateway\.networking|weft\.dev/.test(String(valueAt(one, 'metadata.name'))))).map(groupShown) }
  if (Array.isArray(body['items']) && isJson(body['metadata']) && !String(kind).startsWith('APIGroupDiscovery')) return listShown(body, ages)
  if (isJson(body['metadata']) && 'name' in body['metadata']) return objectShown(body, ages)
  return body
}

/** The group of an aggregated discovery: resources in no order. */
const groupShown = (group: Json): unknown => ({
  name: valueAt(group, 'metadata.name'),
  versions: (group['versions'] as readonly Json[]).map((version) => ({ version: version['version'], freshness: version['freshness'], resources: byName(version['resources'] as readonly Json[]) })),
})

const nameOf = (one: Json): string => String(one['name'] ?? one['resource'] ?? valueAt(one, 'metadata.name'))
const byName = (list: readonly Json[]): Json[] => [...list].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))

export function comparableEvent(event: unknown, ages: Ages): unknown {
  if (!isJson(event)) return event
  const { type, object } = event
  if (type === 'BOOKMARK') {
    // Bookmarks come in each server's own time, but for the one that ends the initial events.
    const ends = valueAt(object, 'metadata.annotations.k8s\\.io/initial-events-end')
    return ends === undefined ? undefined : { type, kind: valueAt(object, 'kind'), ends }
  }
  return { type, object: shown(object, ages) }
}

function statusShown(body: Json, ages: Ages): unknown {
  const details = (body['details'] ?? {}) as Json
  const causes = ((details['causes'] ?? []) as readonly Json[]).map((one) => `${String(one['reason'])} ${String(one['field'])}`).sort()
  return {
    kind: 'Status',
    status: body['status'],
    reason: body['reason'],
    code: body['code'],
    details: { name: details['name'], group: details['group'], kind: details['kind'], uid: ages.of('uid', details['uid']), causes: [...new Set(causes)] },
    ...(isJson(body['metadata']) && 'continue' in body['metadata'] ? { continues: true } : {}),
  }
}

function tableShown(body: Json, ages: Ages): unknown {
  const rows = (body['rows'] ?? []) as readonly Json[]
  return {
    kind: 'Table',
    apiVersion: body['apiVersion'],
    columns: ((body['columnDefinitions'] ?? []) as readonly Json[]).map((one) => one['name']),
    rows: rows.map((row) => ({ cells: (row['cells'] as readonly unknown[]).slice(0, -1), object: isJson(row['object']) ? { kind: row['object']['kind'], apiVersion: row['object']['apiVersion'], name: valueAt(row['object'], 'metadata.name'), uid: ages.of('uid', valueAt(row['object'], 'metadata.uid')) } : row['object'] })),
  }
}

function listShown(body: Json, ages: Ages): unknown {
  const metadata = body['metadata'] as Json
  return {
    kind: body['kind'],
    apiVersion: body['apiVersion'],
    metadata: { hasVersion: /^\d+$/.test(String(metadata['resourceVersion'])), continues: Boolean(metadata['continue']) },
    items: (body['items'] as readonly unknown[]).map((one) => (isJson(one) ? objectShown(one, ages) : one)),
  }
}

function objectShown(body: Json, ages: Ages): unknown {
  const { metadata, status, ...rest } = body
  const { uid, resourceVersion, creationTimestamp, deletionTimestamp, managedFields, ownerReferences, ...meta } = metadata as Json
  return {
    ...rest,
    metadata: {
      ...meta,
      uid: ages.of('uid', uid),
      resourceVersion: ages.of('version', resourceVersion),
      ...(Array.isArray(ownerReferences) ? { ownerReferences: ownerReferences.map((one: Json) => ({ ...one, uid: ages.of('uid', one['uid']) })) } : {}),
      created: typeof creationTimestamp === 'string',
      ...(deletionTimestamp === undefined ? {} : { deleted: true }),
      ...(Array.isArray(managedFields) ? { managedFields: managedFields.map((one) => managerShown(one, ages)).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) } : {}),
    },
    ...(isJson(status) && Object.keys(status).length > 0 ? { status } : {}),
  }
}

const managerShown = (one: Json, ages: Ages): unknown => ({ manager: one['manager'], operation: one['operation'], apiVersion: one['apiVersion'], timed: typeof one['time'] === 'string', fields: fieldsShown(one['fieldsV1'], ages) })

/** Field sets have no order. */
function fieldsShown(value: unknown, ages: Ages): unknown {
  if (!isJson(value)) return value
  const named = Object.entries(value).map(([name, below]): [string, unknown] => [name.replace(/(?<=^k:\{"uid":")[^"]+/, (uid) => ages.of('uid', uid) ?? ''), fieldsShown(below, ages)])
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Paths at which two comparable values differ, the outermost that says all. */
export function differences(one: unknown, other: unknown, at = ''): { path: string; real: unknown; weft: unknown }[] {
  if (JSON.stringify(one) === JSON.stringify(other)) return []
  const names = isJson(one) && isJson(other) ? [...new Set([...Object.keys(one), ...Object.keys(other)])] : Array.isArray(one) && Array.isArray(other) && one.length === other.length ? one.map((_, index) => String(index)) : undefined
  if (names === undefined) return [{ path: at, real: one, weft: other }]
  return names.flatMap((name) => differences((one as Record<string, unknown>)[name], (other as Record<string, unknown>)[name], at === '' ? name : `${at}.${name}`))
}
