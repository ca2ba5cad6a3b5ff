import { callApi, meshPath } from '../client.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { formatTable } from '../table.ts'
import { outputOf, readArgs, serverFlags, UsageError } from '../usage.ts'
import { clusterRows, endpointRows, listenerRows, routeRows, secretRows, type SentResource, type Table } from '../proxy-config/tables.ts'

export const usage = `weft proxy-config listener|route|cluster|endpoint|secret|all NAME.NAMESPACE [-o table|json]

What a proxy was sent, row by row, with the configuration object behind each.`

interface Section {
  readonly title: string
  readonly suffixes: readonly string[]
  rows(resources: readonly SentResource[]): Table
}

const sections: Record<string, Section> = {
  listener: { title: 'LISTENERS', suffixes: ['.Listener'], rows: listenerRows },
  route: { title: 'ROUTES', suffixes: ['.RouteConfiguration'], rows: routeRows },
  cluster: { title: 'CLUSTERS', suffixes: ['.Cluster'], rows: clusterRows },
  endpoint: { title: 'ENDPOINTS', suffixes: ['.ClusterLoadAssignment'], rows: endpointRows },
  secret: { title: 'SECRETS', suffixes: ['.Secret'], rows: secretRows },
}

const singular = (word: string): string => word.replace(/s$/, '')

export async function run(args: string[]): Promise<ExitCode> {
  const { values, positionals } = readArgs(args, { ...serverFlags, output: { type: 'string', short: 'o' } }, { min: 2, max: 2 })
  const [what = '', proxy = ''] = positionals
  const chosen = what === 'all' ? Object.values(sections) : [sections[singular(what)]]
  if (chosen.some((section) => section === undefined)) throw new UsageError(`${JSON.stringify(what)}: one of ${Object.keys(sections).join(', ')}, all`)
  const output = outputOf(values.output, ['table', 'json'])
  const context = contextOf(values)
  const config = await callApi<{ resources: SentResource[] }>(context, 'GET', meshPath(context, `/proxies/${encodeURIComponent(proxy)}/config`))
  if (output === 'json') {
    const suffixes = (chosen as Section[]).flatMap((section) => section.suffixes)
    process.stdout.write(`${JSON.stringify(config.resources.filter((resource) => suffixes.some((suffix) => resource.type.endsWith(suffix))), undefined, 2)}\n`)
    return exitCodes.done
  }
  for (const section of chosen as Section[]) {
    const resources = config.resources.filter((resource) => section.suffixes.some((suffix) => resource.type.endsWith(suffix)))
    const table = section.rows(resources)
    process.stdout.write(`${what === 'all' ? `${section.title}\n` : ''}${formatTable(table.header, table.rows)}\n${what === 'all' ? '\n' : ''}`)
  }
  return exitCodes.done
}
