import type { WorkloadWords } from '#core/contract/requests-file.ts'
import type { Workload } from '#core/workload/workload.ts'

/** A workload from words. One without an address gets the `index`-th of a range that nobody else has (RFC 6890, 198.18.0.0/15). */
export function workloadFrom(words: WorkloadWords, index: number): Workload {
  const address = words.address ?? `198.18.${Math.floor(index / 254)}.${(index % 254) + 1}`
  return {
    name: words.name,
    namespace: words.namespace,
    serviceAccount: words.serviceAccount ?? 'default',
    labels: words.labels ?? {},
    address,
    ...(words.moreAddresses === undefined ? {} : { addresses: [address, ...words.moreAddresses] }),
    network: words.network ?? '',
    locality: words.locality ?? '',
    cluster: '',
    ports: (words.ports ?? []).map((one) => {
      const { port, name } = typeof one === 'number' ? { port: one, name: undefined } : one
      return { port, ...(name === undefined ? {} : { name }), listen: { address, port }, app: { address, port } }
    }),
    mutualTls: words.mutualTls ?? true,
    health: words.healthy === false ? 'unhealthy' : 'healthy',
  }
}
