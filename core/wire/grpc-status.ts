import { ClientStatusDiscoveryService } from './gen/envoy/service/status/v3/csds_pb.ts'
import { methodsOf } from './grpc.ts'

/** What clients have taken of what they were sent. Apart from grpc.ts, because its messages pull in half of Envoy's API. */
export const csds = methodsOf(ClientStatusDiscoveryService)
