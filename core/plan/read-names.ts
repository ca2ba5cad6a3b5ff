import { isAddress } from '../match/cidr.ts'
import { NameTable_NameInfoSchema, NameTableSchema } from '../wire/gen/istio/networking/nds/v1/nds_pb.ts'
import type { NamesPlan } from './names.ts'
import { at, type Read, readResource } from './read.ts'

/** NameTable → NamesPlan. Names that DNS cannot carry (RFC 1035 §2.3.4) and words that are no addresses are refused. */
export function readNames(name: string, bytes: Uint8Array, version: string): Read<NamesPlan> {
  return readResource(NameTableSchema, bytes, (reading, message) => {
    reading.only('', NameTableSchema, message, ['table'])
    const hosts = Object.entries(message.table).map(([key, info]) => {
      const path = at('', 'table', key.slice(0, 64))
      reading.only(path, NameTable_NameInfoSchema, info, ['ips', 'registry', 'shortname', 'namespace', 'alt_hosts'])
      const host = key.toLowerCase().replace(/\.$/, '')
      if (host === '' || host.length > 253 || host.split('.').some((label) => label === '' || label.length > 63)) reading.invalid(path, 'is no name')
      for (const [index, ip] of info.ips.entries()) if (!isAddress(ip)) reading.invalid(at(path, 'ips', index), 'is no address', ip)
      return { host, addresses: info.ips, shortName: info.shortname, namespace: info.namespace }
    })
    return { name, version, hosts }
  })
}
