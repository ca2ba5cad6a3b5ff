import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import * as grpc from '@grpc/grpc-js'
import { keyPem, type WorkloadCertificate } from '../identity/certificate.ts'

/** Where the control plane listens and whom it must prove to be. */
export interface ControlPlane {
  /** HOST:PORT */
  readonly target: string
  /** PEM of the roots that its certificate must lead to; undefined: plaintext, which the control plane grants on loopback alone. */
  readonly rootsPem: string | undefined
  /** The name in its certificate, where that is not the host of `target`. */
  readonly serverName: string | undefined
}

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024

/**
 * A channel to the control plane, bearing a client certificate where there is one. Half-dead connections are found by pings within 40 s.
 * The caller closes it.
 */
export function controlPlaneChannel(controlPlane: ControlPlane, certificate: WorkloadCertificate | undefined): grpc.Client {
  const name = serverNameOf(controlPlane)
  return new grpc.Client(controlPlane.target, channelCredentials(controlPlane, certificate), {
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.keepalive_permit_without_calls': 0,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    // Channels with equal options share connections; one with another certificate must not ride on an older one's.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(name !== undefined && { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name }),
  })
}

/** SNI carries no addresses (RFC 6066 §3) and Node refuses one as a server name, so a control plane known by address is called by this name, and its certificate is held to the address. */
const ADDRESSED = 'control-plane.weft'

function serverNameOf({ serverName, target }: ControlPlane): string | undefined {
  return serverName ?? (isIP(hostOf(target)) === 0 ? undefined : ADDRESSED)
}

/** The host of `HOST:PORT` or `[ADDRESS]:PORT`. */
const hostOf = (target: string): string => target.slice(0, target.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')

function channelCredentials({ rootsPem, serverName, target }: ControlPlane, certificate: WorkloadCertificate | undefined): grpc.ChannelCredentials {
  if (rootsPem === undefined) return grpc.credentials.createInsecure()
  const roots = Buffer.from(rootsPem)
  const expected = serverName ?? hostOf(target)
  const verify: grpc.VerifyOptions = { checkServerIdentity: (_, presented) => checkServerIdentity(expected, presented as Parameters<typeof checkServerIdentity>[1]) }
  if (certificate === undefined) return grpc.credentials.createSsl(roots, undefined, undefined, verify)
  return grpc.credentials.createSsl(roots, Buffer.from(keyPem(certificate.key)), Buffer.from(certificate.chainPem), verify)
}
