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
  return new grpc.Client(controlPlane.target, channelCredentials(controlPlane, certificate), {
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.keepalive_permit_without_calls': 0,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    // Channels with equal options share connections; one with another certificate must not ride on an older one's.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(controlPlane.serverName !== undefined && {
      'grpc.ssl_target_name_override': controlPlane.serverName,
      'grpc.default_authority': controlPlane.serverName,
    }),
  })
}

function channelCredentials({ rootsPem }: ControlPlane, certificate: WorkloadCertificate | undefined): grpc.ChannelCredentials {
  if (rootsPem === undefined) return grpc.credentials.createInsecure()
  if (certificate === undefined) return grpc.credentials.createSsl(Buffer.from(rootsPem))
  return grpc.credentials.createSsl(Buffer.from(rootsPem), Buffer.from(keyPem(certificate.key)), Buffer.from(certificate.chainPem))
}
