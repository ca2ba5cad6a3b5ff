import { create } from '@bufbuild/protobuf'
import { AnySchema, timestampFromMs } from '@bufbuild/protobuf/wkt'
import { status } from '@grpc/grpc-js'
import { Faults } from '#core/fault/fault.ts'
import { ClientResourceStatus, UpdateFailureStateSchema } from '#core/wire/gen/envoy/admin/v3/config_dump_shared_pb.ts'
import {
  type ClientConfig,
  type ClientConfig_GenericXdsConfig,
  ClientConfig_GenericXdsConfigSchema,
  ClientConfigSchema,
  type ClientStatusRequest,
  type ClientStatusResponse,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '#core/wire/gen/envoy/service/status/v3/csds_pb.ts'
import type { NodeMatcher } from '#core/wire/gen/envoy/type/matcher/v3/node_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { csds, defineTypedMethod } from '#core/wire/grpc.ts'
import { writeNode } from '#core/workload/node-message.ts'
import { bearerOf, type CallerSide, CallRefused, isLoopback, refusalBy } from './credentials.ts'
import type { Ledger } from './ledger.ts'
import type { XdsStream } from './stream.ts'
import { type CallEnd, duplex, type GrpcMethod, unary } from './transport/method.ts'
import type { TrustStore } from './trust.ts'

/** Content that one answer carries, at most; beyond it resources are named without it. */
const contentBytesMax = 32 << 20
/** gRPC clients refuse answers of more than 4 MiB unless told otherwise (xds-rules 24). */
const callBytesMax = 3 << 20
/** About what a resource takes beside its name, version and content: type, state, time. */
const entryBytes = 120

export interface OperatorDoors {
  /**
   * The mesh that an operator may look at, by API key and, where that is not bound to one mesh, by the call's metadata `x-weft-mesh`.
   * @throws Faults 'access.unauthenticated', 'access.forbidden', 'object.not-found'
   */
  meshOfOperator(credential: { bearer: string | undefined; mesh: string | undefined; loopbackPlaintext: boolean }): Promise<string>
}

const wrap = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** `envoy.service.status.v3.ClientStatusDiscoveryService`: what each proxy of a mesh was sent and what it made of it, for people; never for proxies. */
export function clientStatus(doors: OperatorDoors): (trust: TrustStore | undefined, ledger: Ledger) => readonly GrpcMethod[] {
  return (trust, ledger) => {
    const answer = async (call: CallerSide, request: ClientStatusRequest): Promise<ClientStatusResponse> => {
      const [mesh] = call.metadata.get('x-weft-mesh')
      const loopbackPlaintext = trust === undefined && isLoopback(call.getPeer())
      const meshId = await doors.meshOfOperator({ bearer: bearerOf(call), mesh: typeof mesh === 'string' ? mesh : undefined, loopbackPlaintext })
      return clientStatusOf(ledger, meshId, request, callBytesMax)
    }
    return [
      unary(defineTypedMethod(csds.fetchClientStatus, wrap), (call, done) => {
        answer(call, call.request).then(
          (response) => done(null, response),
          (raised: unknown) => done(endOf(raised)),
        )
      }),
      duplex(defineTypedMethod(csds.streamClientStatus, wrap), (call) => {
        // One answer a question, in their order.
        let before = Promise.resolve()
        call.onEnd(() => void before.then(() => call.end()))
        call.onRequest((request) => {
          before = before.then(() => answer(call, request)).then(
            (response) => void call.write(response),
            (raised: unknown) => {
              const { code, details } = endOf(raised)
              call.fail(code, details)
            },
          )
        })
      }),
    ]
  }
}

function endOf(raised: unknown): CallEnd {
  const refused = raised instanceof Faults ? refusalBy(raised) : raised
  if (refused instanceof CallRefused) return { code: refused.code, details: refused.message }
  return { code: status.UNAVAILABLE, details: 'the control plane could not answer; try again' }
}

/** The streams of a mesh whose nodes match, each with all that it was sent. Secrets bear no content. */
export function clientStatusOf(ledger: Ledger, meshId: string, request: Pick<ClientStatusRequest, 'nodeMatchers' | 'excludeResourceContents'>, bytesMax = contentBytesMax): ClientStatusResponse {
  const budget = { left: request.excludeResourceContents ? 0 : bytesMax }
  const config: ClientConfig[] = []
  for (const stream of ledger.streamsOf(meshId)) if (isMatch(request.nodeMatchers, stream)) config.push(configOf(stream, budget))
  return create(ClientStatusResponseSchema, { config })
}

function configOf(stream: XdsStream, budget: { left: number }): ClientConfig {
  const genericXdsConfigs: ClientConfig_GenericXdsConfig[] = []
  for (const { type, name, version, refused, stale, resource } of stream.sent()) {
    const rejection = refused ? stream.rejectionOf(type) : undefined
    budget.left -= entryBytes + name.length + version.length
    const content = resource !== undefined && resource.bytes.length <= budget.left ? create(AnySchema, { typeUrl: type, value: resource.bytes }) : undefined
    budget.left -= content?.value.length ?? 0
    genericXdsConfigs.push(
      create(ClientConfig_GenericXdsConfigSchema, {
        typeUrl: type,
        name,
        versionInfo: version,
        lastUpdated: timestampFromMs(stream.sinceMs(type)),
        configStatus: refused ? ConfigStatus.ERROR : stale ? ConfigStatus.STALE : ConfigStatus.SYNCED,
        clientStatus: refused ? ClientResourceStatus.NACKED : stale ? ClientResourceStatus.REQUESTED : ClientResourceStatus.ACKED,
        ...(content ? { xdsConfig: content } : {}),
        ...(refused ? { errorState: create(UpdateFailureStateSchema, { versionInfo: version, details: rejection?.message ?? '', ...(rejection ? { lastUpdateAttempt: timestampFromMs(rejection.atMs) } : {}) }) } : {}),
      }),
    )
  }
  for (const { type, name } of stream.absent()) {
    genericXdsConfigs.push(create(ClientConfig_GenericXdsConfigSchema, { typeUrl: type, name, configStatus: ConfigStatus.NOT_SENT, clientStatus: ClientResourceStatus.DOES_NOT_EXIST }))
  }
  return create(ClientConfigSchema, { node: writeNode(stream.node), genericXdsConfigs })
}

/** Any of the matchers, as CSDS has it; none match all. Of a node its id is matched; a matcher of metadata matches nothing. */
function isMatch(matchers: readonly NodeMatcher[], stream: XdsStream): boolean {
  return matchers.length === 0 || matchers.some((one) => one.nodeMetadatas.length === 0 && (one.nodeId === undefined || isStringMatch(one.nodeId, stream.node.id)))
}

function isStringMatch({ matchPattern, ignoreCase }: StringMatcher, text: string): boolean {
  const folded = (one: string): string => (ignoreCase ? one.toLowerCase() : one)
  switch (matchPattern.case) {
    case 'exact':
      return folded(text) === folded(matchPattern.value)
    case 'prefix':
      return folded(text).startsWith(folded(matchPattern.value))
    case 'suffix':
      return folded(text).endsWith(folded(matchPattern.value))
    case 'contains':
      return folded(text).includes(folded(matchPattern.value))
    default:
      return false
  }
}
