import type { MeshConfigSpec } from '#core/resource/mesh-config.ts'
import type { ServerTls } from '#core/resource/server-tls.ts'
import { TlsParameters_TlsProtocol as TlsProtocol } from '#core/wire/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { credentialNames } from './secret.ts'
import { type CertificateInFiles, type ServedTls, servedSocket } from './tls.ts'

const PROTOCOLS: Readonly<Record<string, TlsProtocol>> = { TLSV1_0: TlsProtocol.TLSv1_0, TLSV1_1: TlsProtocol.TLSv1_1, TLSV1_2: TlsProtocol.TLSv1_2, TLSV1_3: TlsProtocol.TLSv1_3 }

/** Undefined: none is said, or `TLS_AUTO`. */
export const versionOf = (name: string | undefined): TlsProtocol | undefined => PROTOCOLS[name ?? '']

/** What a server's settings say of the handshake, else the mesh's, and of clients' certificates, wherever its own certificate is. */
export const servedParams = (tls: ServerTls | undefined, mesh: MeshConfigSpec['tlsDefaults']): Pick<ServedTls, 'minVersion' | 'maxVersion' | 'cipherSuites' | 'curves' | 'clientSans' | 'clientKeys' | 'clientHashes'> => ({
  minVersion: versionOf(tls?.minProtocolVersion) ?? versionOf(mesh?.minProtocolVersion) ?? TlsProtocol.TLSv1_2,
  maxVersion: versionOf(tls?.maxProtocolVersion) ?? TlsProtocol.TLSv1_3,
  cipherSuites: tls?.cipherSuites ?? mesh?.cipherSuites ?? [],
  curves: mesh?.ecdhCurves ?? [],
  clientSans: tls?.subjectAltNames ?? [],
  clientKeys: tls?.verifyCertificateSpki ?? [],
  clientHashes: tls?.verifyCertificateHash ?? [],
})

/** Certificates that lie on the proxy's host; undefined: secrets hold them. */
export function certificatesInFiles(tls: ServerTls | undefined): CertificateInFiles[] | undefined {
  if (tls === undefined || credentialNames(tls).length > 0) return undefined
  const pairs = tls.tlsCertificates ?? [{ serverCertificate: tls.serverCertificate, privateKey: tls.privateKey }]
  const files = pairs.map((one) => ({ chain: one.serverCertificate ?? '', key: one.privateKey ?? '' }))
  return files.every((one) => one.chain !== '' && one.key !== '') ? files : undefined
}

/** The file with the authorities that client certificates must lead to, and that of what they took back; undefined: none is named. */
export function authorityFile(tls: ServerTls): { readonly file: string; readonly revoked: string } | undefined {
  const file = tls.caCertificates || tls.tlsCertificates?.find((one) => one.caCertificates)?.caCertificates || ''
  return file === '' ? undefined : { file, revoked: tls.caCrl ?? '' }
}

/** Whether TLS that is not the mesh's ends at a Sidecar's ingress. */
export const endsTls = (tls: ServerTls | undefined): tls is ServerTls => tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL' || tls?.mode === 'OPTIONAL_MUTUAL'

/** TLS that ends at a Sidecar's ingress, with certificates in files of the workload's host; undefined where files are not what is named. */
export function ingressSocket(tls: ServerTls, mesh: MeshConfigSpec['tlsDefaults']): ReturnType<typeof servedSocket> | undefined {
  const certificates = certificatesInFiles(tls)
  const clientTrust = tls.mode === 'SIMPLE' ? undefined : authorityFile(tls)
  if (certificates === undefined || (tls.mode !== 'SIMPLE' && clientTrust === undefined)) return undefined
  return servedSocket({ ...servedParams(tls, mesh), certificates, clientTrust, requireClientCertificate: tls.mode === 'MUTUAL' })
}
