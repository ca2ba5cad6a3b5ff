import { stringify } from 'yaml'
import type { Description } from '#core/contract/description.ts'
import { describeFault, type Fault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { targetNamed } from '../object-key.ts'
import { formatAge, formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags } from '../usage.ts'

export const usage = `weft describe KIND NAME | KIND/NAME [-n NAMESPACE] [-o text|json]

One object, and what became of it: its conditions, what is found wrong with it now, who changed it last and why, and which proxies carry what of it (of those that are
connected to the replica that answers). Exit 4 when it is not there.`

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

/** Names of resources that one line of a proxy shows. */
const NAMES_MAX = 4

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, namespace: { type: 'string', short: 'n' }, output: { type: 'string', short: 'o' } }, { min: 1, max: 2 })
  const output = outputOf(values.output, ['text', 'json'])
  const context = contextOf(values)
  const { key } = targetNamed(positionals, values.namespace)
  const query = new URLSearchParams(Object.entries(key).filter(([, value]) => value !== ''))
  const found = await callApi<Description>(context, 'GET', meshPath(context, `/description?${query.toString()}`))
  process.stdout.write(output === 'json' ? `${JSON.stringify(found, undefined, 2)}\n` : `${words(found, Date.now())}\n`)
  return exitCodes.done
}

function words({ object: shown, findings, lastChange, carriers }: Description, nowMs: number): string {
  const object = shown as unknown as ResourceObject
  const { name, namespace, labels = {}, generation, resourceVersion } = object.metadata
  const age = (at: string): string => formatAge(nowMs - Date.parse(at))
  const labelled = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
  const facts: [string, string][] = [
    ['Kind', `${object.kind} (${object.apiVersion})`],
    ['Version', `${resourceVersion ?? '-'}, generation ${generation ?? '-'}`],
    ...(labelled.length === 0 ? [] : [['Labels', labelled.join(', ')] as [string, string]]),
    ['Last change', lastChange === null ? 'none' : `revision ${lastChange.revision}, ${lastChange.operation} by ${lastChange.author}, ${age(lastChange.at)} ago${lastChange.message === '' ? '' : `: ${lastChange.message}`}`],
  ]
  const conditions = ((object.status ?? {}) as { readonly conditions?: readonly Condition[] }).conditions ?? []
  const width = Math.max(...facts.map(([title]) => title.length)) + 1
  return [
    [namespace === undefined || namespace === '' ? name : `${namespace}/${name}`, ...facts.map(([title, value]) => `  ${`${title}:`.padEnd(width)}  ${value}`)].join('\n'),
    section('CONDITIONS', conditions.length === 0 ? 'none' : formatTable(['TYPE', 'STATUS', 'REASON', 'SINCE', 'MESSAGE'], conditions.map((one) => [one.type, one.status, one.reason, one.lastTransitionTime === undefined ? '' : age(one.lastTransitionTime), one.message ?? '']))),
    section('FINDINGS', findings.length === 0 ? 'none' : (findings as readonly Fault[]).map((one) => `${one.severity}: ${describeFault(one)}`).join('\n')),
    section('CARRIED BY', carriers.length === 0 ? 'no proxy that is connected here' : formatTable(['PROXY', 'ENGINE', 'TYPE', 'RESOURCES'], carriers.flatMap(rowsOf))),
    section('SPEC', stringify(contentOf(object), { aliasDuplicateObjects: false }).trimEnd()),
  ].join('\n\n')
}

const section = (title: string, text: string): string => `${title}\n${text.split('\n').map((line) => `  ${line}`).join('\n')}`

/** A line for each type. */
function rowsOf({ proxy, engine, resources }: Description['carriers'][number]): string[][] {
  const types = Map.groupBy(resources, (one) => one.type)
  return [...types].map(([type, of], at) => {
    const names = of.slice(0, NAMES_MAX).map((one) => one.name)
    return [at === 0 ? proxy : '', at === 0 ? engine : '', type, `${names.join(', ')}${of.length > NAMES_MAX ? `, and ${of.length - NAMES_MAX} more` : ''}`]
  })
}

/** What the author wrote of it. */
function contentOf(object: ResourceObject): unknown {
  const { apiVersion: _version, kind: _kind, metadata: _metadata, status: _status, ...content } = object
  return 'spec' in content && Object.keys(content).length === 1 ? content.spec : content
}
