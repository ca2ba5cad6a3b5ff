import { type Cluster_SlowStartConfig, Cluster_SlowStartConfigSchema } from '../wire/gen/envoy/config/cluster/v3/cluster_pb.ts'
import { type SlowStartConfig, SlowStartConfigSchema } from '../wire/gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.ts'
import type { SlowStartPlan } from './cluster.ts'
import type { Reading } from './read.ts'
import { milliseconds } from './read-value.ts'

const FIELDS = ['slow_start_window', 'aggression', 'min_weight_percent']

/** How new endpoints warm up, in the older place or the newer. Undefined: they do not. */
export function readSlowStart(reading: Reading, path: string, wire: Cluster_SlowStartConfig | SlowStartConfig | undefined): SlowStartPlan | undefined {
  if (wire === undefined) return undefined
  if (wire.$typeName === 'envoy.config.cluster.v3.Cluster.SlowStartConfig') reading.only(path, Cluster_SlowStartConfigSchema, wire, FIELDS)
  else reading.only(path, SlowStartConfigSchema, wire, FIELDS)
  const windowMs = milliseconds(wire.slowStartWindow, 0)
  // Without a runtime layer the default holds.
  const aggression = wire.aggression?.defaultValue ?? 1
  if (aggression <= 0) reading.invalid(`${path}.aggression`, 'above 0', aggression)
  return windowMs <= 0 ? undefined : { windowMs, aggression, minWeightPercent: wire.minWeightPercent?.value ?? 10 }
}
