import { stringify } from 'yaml'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { clusterTable } from '../proxy-config/cluster-table.ts'
import { endpointTable } from '../proxy-config/endpoint-table.ts'
import { listenerTable } from '../proxy-config/listener-table.ts'
import { routeTable } from '../proxy-config/route-table.ts'
import type { Table } from '../proxy-config/row.ts'
import { secretTable } from '../proxy-config/secret-table.ts'
import { fromAdmin, fromControlPlane, fromFile, ofSection, type Section, type ShownProxy, type ShownResource } from '../proxy-config/source.ts'
import { formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'

export const usage = `weft proxy-config listener|route|cluster|endpoint|secret|bootstrap|all NAME.NAMESPACE [-o table|json|yaml]
weft proxy-config … --admin ADDRESS:PORT      a running proxy, Envoy or Weft's own, by its admin port
weft proxy-config … -f FILE|-                 a proxy's /config_dump

What a proxy holds, row by row, with the configuration object behind each. Of a proxy that runs on this host it is what it has made of it, with ejections and
certificates; of any other what the control plane has sent it. Private keys are never shown.

  --name NAME          a listener, route table, cluster or secret by its name
  --address, --port    of listeners and endpoints; --port of clusters too
  --type HTTP|TCP      of listeners
  --fqdn HOST, --subset NAME, --direction inbound|outbound    of clusters and endpoints
  --cluster NAME, --status healthy|unhealthy|draining         of endpoints`

const titles: Record<Section, string> = { listener: 'LISTENERS', route: 'ROUTES', cluster: 'CLUSTERS', endpoint: 'ENDPOINTS', secret: 'SECRETS' }
const aliases: Record<string, Section> = { lc: 'listener', l: 'listener', rc: 'route', r: 'route', cc: 'cluster', c: 'cluster', ep: 'endpoint', endpoints: 'endpoint', s: 'secret' }
const isSection = (word: string): word is Section => word in titles

const filters = ['name', 'address', 'port', 'type', 'fqdn', 'subset', 'direction', 'cluster', 'status'] as const
const filterFlags = Object.fromEntries(filters.map((name) => [name, { type: 'string' }])) as Record<(typeof filters)[number], { type: 'string' }>
type Filters = ReadonlyMap<string, string>

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, ...filterFlags, admin: { type: 'string' }, file: { type: 'string', short: 'f' }, output: { type: 'string', short: 'o' } }, { min: 1, max: 2 })
  const [word = '', proxy] = positionals
  const what = aliases[word] ?? word.replace(/s$/, '')
  if (what !== 'all' && what !== 'bootstrap' && !isSection(what)) throw new UsageError(`${JSON.stringify(word)}: one of ${Object.keys(titles).join(', ')}, bootstrap, all`)
  const output = outputOf(values.output, ['table', 'json', 'yaml'])
  if ([proxy, values.admin, values.file].filter((one) => one !== undefined).length !== 1) throw new UsageError('name one proxy: NAME.NAMESPACE, --admin ADDRESS:PORT or -f FILE')
  const wanted: Filters = new Map(filters.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]] as const])))
  const shown = values.file !== undefined ? fromFile(values.file) : values.admin !== undefined ? await fromAdmin(values.admin) : await fromControlPlane(contextOf(values), proxy ?? '')
  if (what === 'bootstrap') {
    if (shown.bootstrap === undefined) throw new Error('the bootstrap is known to the proxy alone: --admin names its admin port')
    // A bootstrap has no columns.
    process.stdout.write(output === 'json' ? `${JSON.stringify(shown.bootstrap, undefined, 2)}\n` : stringify(shown.bootstrap))
    return exitCodes.done
  }
  const sections = what === 'all' ? (Object.keys(titles) as Section[]) : [what]
  if (output !== 'table') {
    const found = sections.flatMap((section) => ofRows(shown, section, wanted))
    process.stdout.write(output === 'json' ? `${JSON.stringify(found, undefined, 2)}\n` : stringify(found, { aliasDuplicateObjects: false }))
    return exitCodes.done
  }
  for (const section of sections) {
    const { header, rows } = tableOf(shown, section, wanted)
    process.stdout.write(`${what === 'all' ? `${titles[section]}\n` : ''}${formatTable(header, rows.map(({ cells }) => cells))}\n${what === 'all' ? '\n' : ''}`)
  }
  return exitCodes.done
}

function tableOf(shown: ShownProxy, section: Section, wanted: Filters): Table {
  const table = wholeTable(shown, section)
  return { ...table, rows: table.rows.filter(({ about }) => [...wanted].every(([name, value]) => isOf(name, value, about[name]))) }
}

function wholeTable({ resources, hosts, secrets }: ShownProxy, section: Section): Table {
  const of = ofSection(resources, section)
  switch (section) {
    case 'listener':
      return listenerTable(of)
    case 'route':
      return routeTable(of)
    case 'cluster':
      return clusterTable(of)
    case 'endpoint':
      return endpointTable(of, ofSection(resources, 'cluster'), hosts)
    case 'secret':
      return secretTable(secrets, Date.now())
  }
}

/** A host is named in full or by its first labels, as istioctl takes it; an address is one of several. What has no such quality is not left out for it. */
function isOf(name: string, value: string, own: string | undefined): boolean {
  if (own === undefined) return true
  if (name === 'fqdn') return own === value || own.startsWith(`${value}.`)
  if (name === 'address') return own.split(',').includes(value)
  return own.toLowerCase() === value.toLowerCase()
}

/** The resources behind the rows that are left. */
function ofRows(shown: ShownProxy, section: Section, wanted: Filters): unknown[] {
  const kept = new Set(tableOf(shown, section, wanted).rows.map(({ about }) => about['name']))
  if (section === 'secret') return shown.secrets.filter(({ name }) => kept.has(name)).map((one) => ({ resource: 'secret', ...one }))
  return ofSection(shown.resources, section).filter(({ name }: ShownResource) => wanted.size === 0 || kept.has(name))
}
