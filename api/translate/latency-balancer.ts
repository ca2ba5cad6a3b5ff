import { create } from '@bufbuild/protobuf'
import { PEAK_EWMA } from '#core/balance/peak-ewma.ts'
import { type Cluster, Cluster_LbPolicy, LoadBalancingPolicySchema } from '#core/wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { LeastRequestSchema } from '#core/wire/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { TypedStructSchema } from '#core/wire/gen/xds/type/v3/typed_struct_pb.ts'
import { anyOf } from './message.ts'

/** Of a DestinationRule: `peak-ewma` asks for endpoints by how long their answers take, where the rule leaves the balancer to be LEAST_REQUEST. */
const BALANCER_ANNOTATION = 'weft.dev/load-balancer'

export const goesByLatency = (annotations: Readonly<Record<string, string>> | undefined): boolean => annotations?.[BALANCER_ANNOTATION] === 'peak-ewma'

/** Lists Weft's own balancer before the one that the cluster has. A proxy takes the first that it knows, so that Envoy goes on by LEAST_REQUEST. */
export function putLatencyFirst(cluster: Cluster): void {
  if (cluster.lbPolicy !== Cluster_LbPolicy.LEAST_REQUEST) return
  const slowStartConfig = cluster.lbConfig.case === 'leastRequestLbConfig' ? cluster.lbConfig.value.slowStartConfig : undefined
  const weighted = cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig'
  const leastRequest = anyOf(LeastRequestSchema, {
    ...(slowStartConfig === undefined ? {} : { slowStartConfig: { ...(slowStartConfig.slowStartWindow && { slowStartWindow: slowStartConfig.slowStartWindow }), ...(slowStartConfig.aggression && { aggression: slowStartConfig.aggression }), ...(slowStartConfig.minWeightPercent && { minWeightPercent: slowStartConfig.minWeightPercent }) } }),
    ...(weighted ? { localityLbConfig: { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } } } : {}),
  })
  cluster.loadBalancingPolicy = create(LoadBalancingPolicySchema, {
    policies: [
      { typedExtensionConfig: { name: 'weft.load_balancing.peak_ewma', typedConfig: anyOf(TypedStructSchema, { typeUrl: `type.googleapis.com/${PEAK_EWMA}`, value: {} }) } },
      { typedExtensionConfig: { name: 'envoy.load_balancing_policies.least_request', typedConfig: leastRequest } },
    ],
  })
  cluster.lbConfig = { case: undefined }
}
