import { stringify } from 'yaml'
import type { ResourceKind } from '#core/resource/kind.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { callApi } from '../client.ts'
import { contextOf, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { kindPath, readTargets } from '../kinds.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags } from '../usage.ts'

export const usage = `weft get KIND [NAME…] | KIND/NAME… [-n NAMESPACE | -A] [-o table|json|yaml|name]

Kinds by name, plural or short name, with or without their group: virtualservices, vs, virtualservice.networking.istio.io. Exit 4 when a named one is not there.

  -n, --namespace    default unless told
  -A                 of all namespaces`

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(
    args,
    { ...serverFlags, namespace: { type: 'string', short: 'n' }, 'all-namespaces': { type: 'boolean', short: 'A' }, output: { type: 'string', short: 'o' } },
    { min: 1, max: 1000 },
  )
  const output = outputOf(values.output, ['table', 'json', 'yaml', 'name'])
  const context = contextOf(values)
  const namespace = values['all-namespaces'] ? undefined : (values.namespace ?? 'default')
  const found: { kind: ResourceKind; objects: ResourceObject[] }[] = []
  for (const target of readTargets(positionals)) found.push({ kind: target.kind, objects: await fetchObjects(context, target.kind, target.names, namespace) })
  const objects = found.flatMap((one) => one.objects)
  const single = objects.length === 1 && positionals.length > 1 ? objects[0] : undefined
  const document = single ?? { apiVersion: 'v1', kind: 'List', items: objects }
  if (output === 'json') process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`)
  else if (output === 'yaml') process.stdout.write(stringify(document))
  else if (output === 'name') for (const one of found) for (const object of one.objects) process.stdout.write(`${nameOf(one.kind)}/${object.metadata.name}\n`)
  else for (const one of found) printTable(one.kind, one.objects, namespace === undefined)
  return exitCodes.done
}

export const nameOf = (kind: ResourceKind): string => (kind.group === '' ? kind.singular : `${kind.singular}.${kind.group}`)

export const objectPath = (context: Context, kind: ResourceKind, namespace: string | undefined, name?: string): string => {
  const within = kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `/k8s/${context.organization}/${context.mesh}${kindPath(kind)}${within}/${kind.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}

async function fetchObjects(context: Context, kind: ResourceKind, names: readonly string[], namespace: string | undefined): Promise<ResourceObject[]> {
  if (names.length > 0) return Promise.all(names.map((name) => callApi<ResourceObject>(context, 'GET', objectPath(context, kind, namespace ?? 'default', name))))
  const list = await callApi<{ items: ResourceObject[] }>(context, 'GET', objectPath(context, kind, namespace))
  // Items of a Kubernetes list leave out what the list says of all of them.
  return list.items.map((item) => ({ ...item, apiVersion: kind.group === '' ? kind.versions[0] : `${kind.group}/${kind.versions[0]}`, kind: kind.kind }))
}

function printTable(kind: ResourceKind, objects: readonly ResourceObject[], everywhere: boolean): void {
  if (objects.length === 0) {
    process.stderr.write(`no ${kind.plural} found\n`)
    return
  }
  const columns = kind.printerColumns.filter((column) => column.type !== 'date')
  const header = [...(everywhere && kind.namespaced ? ['NAMESPACE'] : []), 'NAME', ...columns.map((column) => column.name.toUpperCase()), 'AGE']
  const rows = objects.map((object) => [
    ...(everywhere && kind.namespaced ? [object.metadata.namespace ?? ''] : []),
    object.metadata.name,
    ...columns.map((column) => wordsAt(object, column.jsonPath)),
    object.metadata.creationTimestamp === undefined ? '' : formatAge(Date.now() - Date.parse(object.metadata.creationTimestamp)),
  ])
  process.stdout.write(`${formatTable(header, rows)}\n`)
}

/** The value at a simple JSON path (`.spec.hosts`), as kubectl prints it. */
function wordsAt(object: ResourceObject, path: string): string {
  let value: unknown = object
  for (const key of path.replace(/^\./, '').split('.')) value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
