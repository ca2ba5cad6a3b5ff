import { create } from '@bufbuild/protobuf'
import * as grpc from '@grpc/grpc-js'
import { packAny } from '#core/wire/any.ts'
import { SecretSchema } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { type DiscoveryRequest, type DiscoveryResponse, DiscoveryResponseSchema } from '#core/wire/gen/envoy/service/discovery/v3/discovery_pb.ts'
import { defineTypedMethod, sds } from '#core/wire/grpc.ts'
import { SECRET } from '#core/wire/type-url.ts'
import { keyPem, type WorkloadCertificate } from '../identity/certificate.ts'

const streamSecrets = defineTypedMethod(sds.streamSecrets, (bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))

type Stream = grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>

/**
 * The secret discovery service that an Envoy asks for its workload's own certificate (`default`) and the mesh's roots (`ROOTCA`), over a unix socket that its owner alone can open.
 * So the private key is in two processes' memory and on no disk. State of the world: that is what the control plane's references ask for.
 */
export class SecretServer {
  /** Takes other services of the agent too, before it listens. */
  readonly server = new grpc.Server({ 'grpc.max_receive_message_length': -1 })
  readonly #streams = new Map<Stream, Set<string>>()
  #current: WorkloadCertificate | undefined
  #nonce = 0

  constructor() {
    this.server.addService({ streamSecrets }, { streamSecrets: (stream: Stream) => this.#serve(stream) })
  }

  /** Resolves when the socket is open. The caller keeps its folder to itself (0700). */
  listen(socketPath: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync(`unix:${socketPath}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()))
    })
  }

  /** The first certificate, or a renewed one: whoever asked is sent it at once. */
  useIdentity(certificate: WorkloadCertificate): void {
    this.#current = certificate
    for (const [stream, names] of this.#streams) this.#send(stream, names)
  }

  stop(): void {
    this.server.forceShutdown()
  }

  #serve(stream: Stream): void {
    this.#streams.set(stream, new Set())
    stream.on('data', (request: DiscoveryRequest) => {
      const names = new Set(request.resourceNames)
      const before = this.#streams.get(stream)
      this.#streams.set(stream, names)
      // An ACK asks for nothing new.
      if ([...names].some((name) => !before?.has(name))) this.#send(stream, names)
    })
    stream.on('end', () => {
      this.#streams.delete(stream)
      stream.end()
    })
    stream.on('cancelled', () => this.#streams.delete(stream))
    stream.on('error', () => this.#streams.delete(stream))
  }

  #send(stream: Stream, names: ReadonlySet<string>): void {
    const certificate = this.#current
    if (!certificate) return
    const resources = [...names].flatMap((name) => secretNamed(name, certificate) ?? [])
    if (resources.length === 0) return
    stream.write(
      create(DiscoveryResponseSchema, {
        typeUrl: SECRET,
        versionInfo: certificate.version,
        nonce: String(++this.#nonce),
        resources: resources.map((secret) => packAny(SecretSchema, secret)),
      }),
    )
  }
}

function secretNamed(name: string, certificate: WorkloadCertificate) {
  if (name === 'default') {
    return create(SecretSchema, {
      name,
      type: {
        case: 'tlsCertificate',
        value: {
          certificateChain: { specifier: { case: 'inlineString', value: certificate.chainPem } },
          privateKey: { specifier: { case: 'inlineString', value: keyPem(certificate.key) } },
        },
      },
    })
  }
  if (name !== 'ROOTCA') return undefined
  return create(SecretSchema, { name, type: { case: 'validationContext', value: { trustedCa: { specifier: { case: 'inlineString', value: certificate.rootsPem } } } } })
}
