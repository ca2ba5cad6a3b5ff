import type { ClusterPlan } from '#core/plan/cluster.ts'
import type { FilterChainPlan, ListenerPlan } from '#core/plan/listener.ts'
import type { RouteTable, WeightedClusters } from '#core/plan/route.ts'

/** Secrets that the proxy has from its own identity, never from discovery. */
const ownSecrets: ReadonlySet<string> = new Set(['default', 'ROOTCA'])

const chainsOf = (listener: ListenerPlan): readonly FilterChainPlan[] => (listener.defaultChain ? [...listener.chains, listener.defaultChain] : listener.chains)

/** Names of the route tables that a listener's chains name, and whether one of them finds its table by scope. */
export function tablesOfListener(listener: ListenerPlan): { names: Set<string>; scoped: boolean } {
  const names = new Set<string>()
  let scoped = false
  for (const { serve } of chainsOf(listener)) {
    if (serve.kind !== 'http') continue
    if (serve.routes.kind === 'named') names.add(serve.routes.name)
    if (serve.routes.kind === 'scoped') scoped = true
  }
  return { names, scoped }
}

/** Secrets that must be asked for. */
export function secretsOfListener(listener: ListenerPlan): Set<string> {
  return new Set(chainsOf(listener).flatMap(({ tls }) => (tls ? secretNames([...tls.certificates, tls.trust]) : [])))
}

export function secretsOfCluster(cluster: ClusterPlan): Set<string> {
  return new Set(cluster.transports.flatMap(({ tls }) => (tls ? secretNames([tls.certificate, tls.trust]) : [])))
}

const secretNames = (names: readonly (string | undefined)[]): string[] => names.filter((name) => name !== undefined && !ownSecrets.has(name) && !name.startsWith('file-')).map(String)

/** Clusters that a route table leads to. */
export function clustersOfTable(table: RouteTable): Set<string> {
  const names = new Set<string>()
  const hosts = [...table.exact.values(), ...table.suffixes.map(({ host }) => host), ...table.prefixes.map(({ host }) => host), ...(table.any ? [table.any] : [])]
  for (const { routes } of new Set(hosts)) {
    for (const { action } of routes) {
      if (action.kind !== 'forward') continue
      addClusters(names, action.clusters)
      for (const { cluster } of action.mirrors) names.add(cluster)
    }
  }
  return names
}

function addClusters(names: Set<string>, { entries }: WeightedClusters): void {
  for (const { cluster } of entries) names.add(cluster)
}
