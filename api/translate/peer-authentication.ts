import type { MeshReader } from '#api/model/mesh-reader.ts'
import type { Typed } from '#api/model/object-reader.ts'
import { selects } from '#api/model/labels.ts'
import type { Labels } from '#api/model/labels.ts'
import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { MutualTls as MutualTlsSpec, PeerAuthenticationSpec } from '#core/resource/peer-authentication.ts'
import { TlsParameters_TlsProtocol as TlsProtocol } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { versionOf } from './served-tls.ts'
import type { HandshakeBounds } from './tls.ts'

export interface MutualTls {
  readonly mode: 'DISABLE' | 'PERMISSIVE' | 'STRICT'
  /** The PeerAuthentication that says so; undefined: the default. */
  readonly by: string | undefined
  /** What handshakes are held to. */
  readonly handshake: HandshakeBounds
}

const settled = (mode: MutualTlsSpec['mode']): mode is 'DISABLE' | 'PERMISSIVE' | 'STRICT' => mode !== undefined && mode !== 'UNSET'

/**
 * Whether a workload's port takes mTLS: by the workload's own policy (its port first), else its namespace's, else the mesh's, else PERMISSIVE. The oldest of equals counts.
 * istio.io/latest/docs/reference/config/security/peer_authentication
 */
export function mutualTlsFor(reader: MeshReader, namespace: string, labels: Labels, port: number): MutualTls {
  return { ...modeFor(reader, namespace, labels, port), handshake: handshakeOf(reader.meshConfig().meshMTLS) }
}

const handshakeOf = ({ minProtocolVersion, cipherSuites = [] }: NonNullable<MeshConfigSpec['meshMTLS']> = {}): HandshakeBounds => ({ minVersion: versionOf(minProtocolVersion) ?? TlsProtocol.TLSv1_2, cipherSuites })

function modeFor(reader: MeshReader, namespace: string, labels: Labels, port: number): Pick<MutualTls, 'mode' | 'by'> {
  const own = reader.peerAuthentications(namespace)
  const mesh = namespace === reader.rootNamespace ? [] : reader.peerAuthentications(reader.rootNamespace)
  const ofWorkload = own.find((one) => hasSelector(one) && selects(one.spec.selector?.matchLabels, labels))
  const portMode = ofWorkload?.spec.portLevelMtls?.[String(port)]?.mode
  if (ofWorkload !== undefined && settled(portMode)) return { mode: portMode, by: ofWorkload.id }
  const wide = [ofWorkload, own.find((one) => !hasSelector(one)), mesh.find((one) => !hasSelector(one))]
  for (const one of wide) {
    const mode = one?.spec.mtls?.mode
    if (one !== undefined && settled(mode)) return { mode, by: one.id }
  }
  return { mode: 'PERMISSIVE', by: undefined }
}

/** The ports for which a workload's own policy has a mode. */
export function mutualTlsPorts(reader: MeshReader, namespace: string, labels: Labels): number[] {
  const own = reader.peerAuthentications(namespace).find((one) => hasSelector(one) && selects(one.spec.selector?.matchLabels, labels))
  return Object.entries(own?.spec.portLevelMtls ?? {}).flatMap(([port, { mode }]) => (settled(mode) ? [Number(port)] : [])).sort((a, b) => a - b)
}

const hasSelector = (one: Typed<PeerAuthenticationSpec>): boolean => Object.keys(one.spec.selector?.matchLabels ?? {}).length > 0
