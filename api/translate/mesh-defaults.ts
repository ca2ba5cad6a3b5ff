import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { Policy } from './traffic-policy.ts'

/** What the mesh's settings say to a cluster where no DestinationRule does. */
export type ClusterDefaults = Pick<MeshConfigSpec, 'connectTimeout' | 'tcpKeepalive' | 'h2UpgradePolicy' | 'localityLbSetting' | 'dnsRefreshRate'>

export function clusterDefaults(reader: MeshReader): ClusterDefaults {
  const { connectTimeout, tcpKeepalive, h2UpgradePolicy, localityLbSetting, dnsRefreshRate } = reader.meshConfig()
  return { connectTimeout, tcpKeepalive, h2UpgradePolicy, localityLbSetting, dnsRefreshRate }
}

/**
 * A policy with the mesh's settings where it has none of its own.
 * istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig
 */
export function withDefaults(policy: Policy, defaults: ClusterDefaults): Policy {
  const { connectTimeout, tcpKeepalive, h2UpgradePolicy, localityLbSetting } = defaults
  const tcp = { ...(connectTimeout === undefined ? {} : { connectTimeout }), ...(tcpKeepalive === undefined ? {} : { tcpKeepalive }) }
  const pool = policy.connectionPool
  const upgrade = h2UpgradePolicy === 'UPGRADE' && (pool?.http?.h2UpgradePolicy ?? 'DEFAULT') === 'DEFAULT'
  const pooled = Object.keys(tcp).length === 0 && !upgrade ? pool : { ...pool, tcp: { ...tcp, ...pool?.tcp }, ...(upgrade ? { http: { ...pool?.http, h2UpgradePolicy: 'UPGRADE' as const } } : {}) }
  const balancer = localityLbSetting === undefined || policy.loadBalancer?.localityLbSetting !== undefined ? policy.loadBalancer : { ...policy.loadBalancer, localityLbSetting }
  return { ...policy, connectionPool: pooled, loadBalancer: balancer }
}
