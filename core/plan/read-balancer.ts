import {
  type Cluster, Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema, Cluster_CommonLbConfigSchema, Cluster_LbPolicy as Policy, Cluster_LeastRequestLbConfigSchema,
  Cluster_RingHashLbConfig_HashFunction, Cluster_RoundRobinLbConfigSchema, type LoadBalancingPolicy,
} from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ConsistentHashingLbConfigSchema, type LocalityLbConfig, LocalityLbConfigSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.ts'
import { LeastRequest_SelectionMethod, LeastRequestSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { MaglevSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.ts'
import { RandomSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.ts'
import { RingHash_HashFunction, RingHashSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.ts'
import { RoundRobinSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.ts'
import { WrrLocalitySchema } from '../wire/gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.ts'
import { TypedStructSchema } from '../wire/gen/xds/type/v3/typed_struct_pb.ts'
import { PEAK_EWMA } from '../balance/peak-ewma.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { ClusterPlan, SlowStartPlan } from './cluster.ts'
import { at, type Reading, typeNameOf } from './read.ts'
import { readSlowStart } from './read-slow-start.ts'

export interface BalancerPlan {
  readonly balancer: ClusterPlan['balancer']
  readonly choiceCount: number
  readonly hashTableSize?: number
  readonly ringSizeMax?: number
  readonly ringHash?: 'xx' | 'murmur2'
  readonly hashesHostname?: boolean
  readonly slowStart?: SlowStartPlan
  readonly localityWeighted: boolean
}

const CLUSTER_PROVIDED = 'envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided'
const CHOICE_COUNT = 2
/** Beyond this a ring costs more memory than a sidecar has for it. */
const RING_SIZE_MAX = 1_048_576
/** Envoy's own bound. */
const TABLE_SIZE_MAX = 5_000_011

const PLAIN = { choiceCount: CHOICE_COUNT, localityWeighted: false } as const

/** The balancer, by `load_balancing_policy` (the first policy that is known, as in Envoy) or by the older `lb_policy`. */
export function readBalancer(reading: Reading, cluster: Cluster): BalancerPlan {
  const plan = cluster.loadBalancingPolicy === undefined ? readLbPolicy(reading, cluster) : readPolicies(reading, 'load_balancing_policy', cluster.loadBalancingPolicy)
  const common = cluster.commonLbConfig
  if (common === undefined) return plan
  reading.only('common_lb_config', Cluster_CommonLbConfigSchema, common, [
    'healthy_panic_threshold', 'zone_aware_lb_config', 'locality_weighted_lb_config', 'update_merge_window', 'ignore_new_hosts_until_first_hc', 'consistent_hashing_lb_config', 'override_host_status',
  ])
  if (common.consistentHashingLbConfig !== undefined) {
    reading.only('common_lb_config.consistent_hashing_lb_config', Cluster_CommonLbConfig_ConsistentHashingLbConfigSchema, common.consistentHashingLbConfig, ['use_hostname_for_hashing'])
  }
  const byName = common.consistentHashingLbConfig?.useHostnameForHashing === true ? { hashesHostname: true } : {}
  return { ...plan, ...byName, localityWeighted: plan.localityWeighted || common.localityConfigSpecifier.case === 'localityWeightedLbConfig' }
}

function readLbPolicy(reading: Reading, cluster: Cluster): BalancerPlan {
  const { lbPolicy, lbConfig } = cluster
  switch (lbPolicy) {
    case Policy.ROUND_ROBIN:
      if (lbConfig.case === 'roundRobinLbConfig') reading.only('round_robin_lb_config', Cluster_RoundRobinLbConfigSchema, lbConfig.value, ['slow_start_config'])
      return { ...PLAIN, balancer: 'round-robin', ...slowStart(readSlowStart(reading, 'round_robin_lb_config.slow_start_config', lbConfig.case === 'roundRobinLbConfig' ? lbConfig.value.slowStartConfig : undefined)) }
    case Policy.LEAST_REQUEST: {
      if (lbConfig.case !== 'leastRequestLbConfig') return { ...PLAIN, balancer: 'least-request' }
      reading.only('least_request_lb_config', Cluster_LeastRequestLbConfigSchema, lbConfig.value, ['choice_count', 'slow_start_config'])
      return { ...PLAIN, balancer: 'least-request', ...slowStart(readSlowStart(reading, 'least_request_lb_config.slow_start_config', lbConfig.value.slowStartConfig)), choiceCount: readChoiceCount(reading, 'least_request_lb_config', lbConfig.value.choiceCount) }
    }
    case Policy.RANDOM:
      return { ...PLAIN, balancer: 'random' }
    case Policy.RING_HASH: {
      if (lbConfig.case !== 'ringHashLbConfig') return { ...PLAIN, balancer: 'ring-hash' }
      return { ...PLAIN, balancer: 'ring-hash', ...ringOf(lbConfig.value.hashFunction === Cluster_RingHashLbConfig_HashFunction.MURMUR_HASH_2, lbConfig.value.maximumRingSize), ...hashTableSize(reading, 'ring_hash_lb_config.minimum_ring_size', lbConfig.value.minimumRingSize, 'ring') }
    }
    case Policy.MAGLEV:
      return { ...PLAIN, balancer: 'maglev', ...(lbConfig.case === 'maglevLbConfig' ? hashTableSize(reading, 'maglev_lb_config.table_size', lbConfig.value.tableSize, 'table') : {}) }
    case Policy.CLUSTER_PROVIDED:
      return { ...PLAIN, balancer: 'cluster-provided' }
    default:
      reading.unsupported('lb_policy', 'is not supported', lbPolicy)
      return { ...PLAIN, balancer: 'round-robin' }
  }
}

function readPolicies(reading: Reading, path: string, policy: LoadBalancingPolicy): BalancerPlan {
  for (const [index, one] of policy.policies.entries()) {
    const any = one.typedExtensionConfig?.typedConfig
    const plan = any && readTyped(reading, at(at(path, 'policies', index), 'typed_extension_config.typed_config'), any)
    if (plan !== undefined) return plan
  }
  reading.unsupported(path, 'has no policy that Weft knows', policy.policies.map((one) => one.typedExtensionConfig?.name).join(', '))
  return { ...PLAIN, balancer: 'round-robin' }
}

/** Undefined: a policy that is not known, which the next in the list may stand in for. */
function readTyped(reading: Reading, path: string, any: Any): BalancerPlan | undefined {
  const typeName = typeNameOf(any)
  switch (typeName) {
    case RoundRobinSchema.typeName: {
      const message = reading.unpack(path, any, RoundRobinSchema)
      if (message !== undefined) reading.only(path, RoundRobinSchema, message, ['locality_lb_config', 'slow_start_config'])
      return { ...PLAIN, balancer: 'round-robin', ...slowStart(readSlowStart(reading, at(path, 'slow_start_config'), message?.slowStartConfig)), localityWeighted: readLocality(reading, path, message?.localityLbConfig) }
    }
    case LeastRequestSchema.typeName: {
      const message = reading.unpack(path, any, LeastRequestSchema)
      if (message !== undefined) reading.only(path, LeastRequestSchema, message, ['choice_count', 'locality_lb_config', 'selection_method', 'slow_start_config'])
      if (message !== undefined && message.selectionMethod !== LeastRequest_SelectionMethod.N_CHOICES) reading.unsupported(at(path, 'selection_method'), 'only N_CHOICES is supported')
      return { balancer: 'least-request', ...slowStart(readSlowStart(reading, at(path, 'slow_start_config'), message?.slowStartConfig)), choiceCount: readChoiceCount(reading, path, message?.choiceCount), localityWeighted: readLocality(reading, path, message?.localityLbConfig) }
    }
    case RandomSchema.typeName: {
      const message = reading.unpack(path, any, RandomSchema)
      return { ...PLAIN, balancer: 'random', localityWeighted: readLocality(reading, path, message?.localityLbConfig) }
    }
    case RingHashSchema.typeName: {
      const message = reading.unpack(path, any, RingHashSchema)
      if (message !== undefined) reading.only(path, RingHashSchema, message, ['hash_function', 'minimum_ring_size', 'maximum_ring_size', 'locality_weighted_lb_config', 'use_hostname_for_hashing', 'consistent_hashing_lb_config'])
      const common = message?.consistentHashingLbConfig
      if (common !== undefined) reading.only(at(path, 'consistent_hashing_lb_config'), ConsistentHashingLbConfigSchema, common, ['use_hostname_for_hashing'])
      const byName = message?.useHostnameForHashing === true || common?.useHostnameForHashing === true ? { hashesHostname: true } : {}
      return { ...PLAIN, ...byName, ...ringOf(message?.hashFunction === RingHash_HashFunction.MURMUR_HASH_2, message?.maximumRingSize), balancer: 'ring-hash', localityWeighted: message?.localityWeightedLbConfig !== undefined, ...hashTableSize(reading, at(path, 'minimum_ring_size'), message?.minimumRingSize, 'ring') }
    }
    case MaglevSchema.typeName: {
      const message = reading.unpack(path, any, MaglevSchema)
      if (message !== undefined) reading.only(path, MaglevSchema, message, ['table_size', 'locality_weighted_lb_config', 'consistent_hashing_lb_config'])
      const common = message?.consistentHashingLbConfig
      if (common !== undefined) reading.only(at(path, 'consistent_hashing_lb_config'), ConsistentHashingLbConfigSchema, common, ['use_hostname_for_hashing'])
      return { ...PLAIN, ...(common?.useHostnameForHashing === true ? { hashesHostname: true } : {}), balancer: 'maglev', localityWeighted: message?.localityWeightedLbConfig !== undefined, ...hashTableSize(reading, at(path, 'table_size'), message?.tableSize, 'table') }
    }
    case WrrLocalitySchema.typeName: {
      const message = reading.unpack(path, any, WrrLocalitySchema)
      if (message?.endpointPickingPolicy === undefined) return undefined
      return { ...readPolicies(reading, at(path, 'endpoint_picking_policy'), message.endpointPickingPolicy), localityWeighted: true }
    }
    case TypedStructSchema.typeName:
      return reading.unpack(path, any, TypedStructSchema)?.typeUrl.endsWith(`/${PEAK_EWMA}`) === true ? { ...PLAIN, balancer: 'peak-ewma' } : undefined
    case CLUSTER_PROVIDED:
      return { ...PLAIN, balancer: 'cluster-provided' }
    default:
      return undefined
  }
}

function readLocality(reading: Reading, path: string, config: LocalityLbConfig | undefined): boolean {
  if (config === undefined) return false
  // Zone-aware routing acts only with a local cluster in the bootstrap, which Weft's proxies do not have.
  reading.only(at(path, 'locality_lb_config'), LocalityLbConfigSchema, config, ['zone_aware_lb_config', 'locality_weighted_lb_config'])
  return config.localityConfigSpecifier.case === 'localityWeightedLbConfig'
}

function readChoiceCount(reading: Reading, path: string, count: number | undefined): number {
  if (count !== undefined && count < 2) reading.invalid(at(path, 'choice_count'), '2 or more', count)
  return count ?? CHOICE_COUNT
}

/** A Maglev table needs a prime: only then does every host's order of slots reach them all. */
function hashTableSize(reading: Reading, path: string, size: bigint | undefined, kind: 'ring' | 'table'): { hashTableSize?: number } {
  if (size === undefined) return {}
  const value = Number(size)
  const max = kind === 'ring' ? RING_SIZE_MAX : TABLE_SIZE_MAX
  if (value < 1 || value > max) reading.unsupported(path, `1..${max}`, value)
  else if (kind === 'table' && !isPrime(value)) reading.invalid(path, 'is no prime number', value)
  return { hashTableSize: value }
}

function slowStart(plan: SlowStartPlan | undefined): Pick<BalancerPlan, 'slowStart'> {
  return plan === undefined ? {} : { slowStart: plan }
}

function ringOf(murmur: boolean, sizeMax: bigint | undefined): Pick<BalancerPlan, 'ringHash' | 'ringSizeMax'> {
  return { ...(murmur ? { ringHash: 'murmur2' as const } : {}), ...(sizeMax === undefined ? {} : { ringSizeMax: Number(sizeMax) }) }
}

function isPrime(value: number): boolean {
  if (value < 2) return false
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
  return true
}
