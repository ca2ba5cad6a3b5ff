import { status } from '@grpc/grpc-js'
import type { Doors } from '#core/time/clock.ts'
import { clientStatus } from './client-status.ts'
import { type ClusterLoad, loadReporting } from './load-reports.ts'
import type { NodeStates, Stated } from './node-states.ts'
import type { Peer } from './peer.ts'
import { MalformedMessage, scanFields, textOf } from './protobuf.ts'
import { startXds, type XdsServer } from './server.ts'
import { type GrpcMethod, unary } from './transport/method.ts'

/** The one mesh that a conformance server pretends to. */
export const conformanceMesh = 'conformance'

const nobody: Peer = { organizationId: conformanceMesh, meshId: conformanceMesh, identity: undefined, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }

/**
 * Starts discovery as the control plane serves it, on a loopback address and without credentials, over states that a test fills by hand: the whole of `api/serve` and nothing else.
 * On the same port: load reporting, client status (CSDS), and the service `adapter.Adapter` by which suites of tests set what is served.
 * @param onLoad each report of load, as it came
 */
export const startConformance = (
  doors: Doors,
  states: NodeStates,
  at: { readonly address: string; readonly port: number },
  onLoad: (node: string, clusters: readonly ClusterLoad[]) => void = () => {},
  note: (event: string, fields: Readonly<Record<string, unknown>>) => void = () => {},
): Promise<XdsServer> => {
  const authenticate = (): Promise<Peer> => Promise.resolve(nobody)
  return startXds(
    { ...doors, serve: { authenticate, viewFor: (_peer, node) => Promise.resolve(states.viewOf(node.id)), connected() {}, disconnected() {} } },
    {
      plaintext: at,
      note,
      services: [
        () => adapter(states),
        loadReporting({ clock: doors.clock, serve: { authenticate }, onLoad: (_peer, node, clusters) => onLoad(node.id, clusters) }),
        clientStatus({ meshOfOperator: () => Promise.resolve(conformanceMesh) }),
      ],
    },
  )
}

/** Answers of `adapter.Adapter`: `success` is field 1, true; `ClearState` answers a string there. */
const success = Buffer.from([8, 1])
const cleared = Buffer.from([10, 7, ...Buffer.from('cleared')])

/**
 * `adapter.Adapter`: SetState (node 1, version 2, resources 3, each an Any), ClearState (node 1), and UpdateResource, AddResource and RemoveResource
 * (node 1, type URL 2, resource name 3, version 4, and a content 5, an Any, where one is wanted).
 */
function adapter(states: NodeStates): readonly GrpcMethod[] {
  const methods: Readonly<Record<string, (request: Buffer) => Buffer>> = {
    SetState(request) {
      const { texts, anys } = readFields(request, 3)
      states.set(texts.get(1) ?? '', texts.get(2) ?? '', anys)
      return success
    },
    ClearState(request) {
      states.clear(readFields(request, -1).texts.get(1) ?? '')
      return cleared
    },
    AddResource: (request) => put(states, request),
    UpdateResource: (request) => put(states, request),
    RemoveResource(request) {
      const { texts } = readFields(request, -1)
      states.remove(texts.get(1) ?? '', texts.get(2) ?? '', texts.get(3) ?? '', texts.get(4))
      return success
    },
  }
  const same = (bytes: Buffer): Buffer => bytes
  const bytes = { requestStream: false, responseStream: false, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same }
  return Object.entries(methods).map(([name, method]) =>
    unary<Buffer, Buffer>({ ...bytes, path: `/adapter.Adapter/${name}` }, (call, done) => {
      try {
        done(null, method(call.request))
      } catch (raised) {
        done({ code: raised instanceof MalformedMessage ? status.INVALID_ARGUMENT : status.INTERNAL, details: raised instanceof Error ? raised.message : String(raised) })
      }
    }),
  )
}

function put(states: NodeStates, request: Buffer): Buffer {
  const { texts, anys } = readFields(request, 5)
  const [content] = anys
  states.put(texts.get(1) ?? '', { type: texts.get(2) ?? '', name: texts.get(3) ?? '', ...(content?.bytes ? { bytes: content.bytes } : {}) }, texts.get(4) ?? '')
  return success
}

/** The strings of a message, by field, and the Anys of one of its fields. */
function readFields(bytes: Uint8Array, anyField: number): { texts: Map<number, string>; anys: Stated[] } {
  const texts = new Map<number, string>()
  const anys: Stated[] = []
  scanFields(bytes, (field) => {
    if (field.field !== anyField) texts.set(field.field, textOf(bytes, field))
    else anys.push(readAny(bytes.subarray(field.start, field.end)))
    return true
  })
  return { texts, anys }
}

function readAny(bytes: Uint8Array): Stated {
  let type = ''
  let value: Uint8Array = new Uint8Array(0)
  scanFields(bytes, (field) => {
    if (field.field === 1) type = textOf(bytes, field)
    else if (field.field === 2) value = bytes.slice(field.start, field.end)
    return true
  })
  return { type, bytes: value }
}
