import type { Description } from '#core/contract/description.ts'
import type { Ledger } from '../serve/ledger.ts'

type Carrier = Description['carriers'][number]

/** Which connected proxies were sent something that comes of this object, `VirtualService/prod/orders`, and what; in the order of their names. */
export function carriersOf(ledger: Ledger, meshId: string, object: string): Carrier[] {
  const carriers: Carrier[] = []
  for (const stream of ledger.streamsOf(meshId)) {
    const resources = [...stream.sent()].flatMap(({ type, name, resource }) => (resource?.origins.some((origin) => origin === object || origin.startsWith(`${object} `)) ? [{ type: type.slice(type.lastIndexOf('.') + 1), name }] : []))
    if (resources.length > 0) carriers.push({ proxy: `${stream.node.name}.${stream.node.namespace}`, engine: stream.node.engine, resources })
  }
  return carriers.toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1))
}
