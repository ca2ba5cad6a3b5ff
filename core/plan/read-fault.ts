import { type FaultAbort, FaultAbortSchema, type HTTPFault, HTTPFaultSchema } from '../wire/gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import { type FaultDelay, FaultDelaySchema } from '../wire/gen/envoy/extensions/filters/common/fault/v3/fault_pb.ts'
import type { FaultPlan } from './route.ts'
import { at, type Reading } from './read.ts'
import { milliseconds, percentOf } from './read-value.ts'

/** Fixed delays and aborts; those asked for by headers and by rate are refused. A percentage that is not there is 0, as in Envoy. */
export function readFault(reading: Reading, path: string, fault: HTTPFault): FaultPlan {
  reading.only(path, HTTPFaultSchema, fault, ['delay', 'abort', 'disable_downstream_cluster_stats'])
  const delayMs = readDelay(reading, at(path, 'delay'), fault.delay)
  const abortStatus = readAbort(reading, at(path, 'abort'), fault.abort)
  return {
    delayMs,
    delayPercent: percentOf(fault.delay?.percentage, 0),
    abortStatus,
    ...(fault.abort?.errorType.case === 'grpcStatus' ? { abortGrpcStatus: fault.abort.errorType.value } : {}),
    abortPercent: percentOf(fault.abort?.percentage, 0),
  }
}

function readDelay(reading: Reading, path: string, delay: FaultDelay | undefined): number {
  if (delay === undefined) return 0
  reading.only(path, FaultDelaySchema, delay, ['fixed_delay', 'percentage'])
  return delay.faultDelaySecifier.case === 'fixedDelay' ? milliseconds(delay.faultDelaySecifier.value, 0) : 0
}

function readAbort(reading: Reading, path: string, abort: FaultAbort | undefined): number {
  if (abort === undefined) return 0
  reading.only(path, FaultAbortSchema, abort, ['http_status', 'grpc_status', 'percentage'])
  if (abort.errorType.case === 'grpcStatus') return 200
  if (abort.errorType.case !== 'httpStatus') return 0
  const status = abort.errorType.value
  if (status < 200 || status > 599) reading.invalid(at(path, 'http_status'), '200..599', status)
  return status
}
