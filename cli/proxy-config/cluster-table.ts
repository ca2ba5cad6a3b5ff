import { text } from './json.ts'
import { byCells, originOf, type Row, shortName, type Table } from './row.ts'
import type { ShownResource } from './source.ts'

/** SERVICE FQDN PORT SUBSET DIRECTION TYPE DESTINATION RULE */
export function clusterTable(resources: readonly ShownResource[]): Table {
  const rows = resources.map(({ name, origins, content }): Row => {
    const parts = /^(inbound|outbound|inbound-vip)(?:_\.|\|)/.test(name) ? name.split(name.includes('|') ? '|' : '_.') : undefined
    const [direction, port, subset, host] = parts === undefined ? ['-', '-', '-', name] : [parts[0] ?? '', parts[1] ?? '', parts[2] || '-', parts.slice(3).join('|')]
    const rule = originOf(content, origins)
      .split(', ')
      .find((one) => one.startsWith('DestinationRule/')) ?? origins.find((one) => one.startsWith('DestinationRule/')) ?? ''
    const type = text(content, 'type') || text(content, 'clusterType', 'name').replace(/^envoy\.clusters?\./, '').toUpperCase() || 'STATIC'
    return { cells: [host, port, subset, direction, type, shortName(rule, 'DestinationRule'), originOf(content, origins)], about: { name, fqdn: host, port, subset, direction } }
  })
  return { header: ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE', 'FROM'], rows: rows.sort(byCells) }
}
