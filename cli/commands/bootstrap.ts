import { hostname } from 'node:os'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import { systemDoors } from '#core/time/system.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import type { Bootstrap } from '#proxy/bootstrap/bootstrap.ts'
import { certificateFiles, writeCertificateFiles } from '#proxy/identity/certificate-files.ts'
import { certificateService } from '#proxy/identity/certificate-service.ts'
import { readJoinToken } from '#proxy/identity/join-token.ts'
import { WorkloadIdentity } from '#proxy/identity/workload-identity.ts'
import { envoyBootstrap } from '#proxy/bootstrap/envoy-bootstrap.ts'
import { grpcBootstrap } from '#proxy/bootstrap/grpc-bootstrap.ts'
import { readBootstrap, withFlags } from '#proxy/bootstrap/read-bootstrap.ts'
import { version } from '#proxy/version.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { UsageError } from '../usage.ts'

export const usage = `weft bootstrap envoy [--type sidecar|router] [--sds-socket PATH] [flags of weft proxy]
weft bootstrap grpc [--certificates DIR [--renew]] [flags of weft proxy]

Prints the bootstrap of a stock Envoy: incremental ADS over mTLS, with the certificate that the agent beside it serves on the socket.
weft proxy --engine envoy does all of this, and starts Envoy as well.

bootstrap grpc prints the file that a gRPC client or server without a proxy finds by GRPC_XDS_BOOTSTRAP. DIR holds cert-chain.pem, key.pem and root-cert.pem, kept fresh by whoever holds
the workload's identity; without it discovery is in plaintext, on loopback only, and there is no mutual TLS. --renew: this process is that one. It joins by WEFT_JOIN_TOKEN, prints the bootstrap
once the files are there, and renews them until a signal ends it. A server says its ports as weft proxy does (WEFT_PORTS).`

export async function run(args: string[]): Promise<ExitCode> {
  const [what, ...flags] = args
  if (what === 'grpc') return await grpc(flags)
  if (what !== 'envoy') throw new UsageError('bootstrap envoy or bootstrap grpc')
  const type = take(flags, '--type') ?? 'sidecar'
  if (type !== 'sidecar' && type !== 'router') throw new UsageError('--type is sidecar or router')
  const sdsSocket = path.resolve(take(flags, '--sds-socket') ?? 'sds.sock')
  const { environment } = withFlags(process.env, flags)
  const { node, controlPlane, admin } = readBootstrap(environment, type, doors)
  process.stdout.write(`${JSON.stringify(envoyBootstrap({ node, controlPlane, admin, sdsSocket }), undefined, 2)}\n`)
  return exitCodes.done
}

async function grpc(flags: string[]): Promise<ExitCode> {
  const folder = take(flags, '--certificates')
  const renews = flags.includes('--renew')
  if (renews) flags.splice(flags.indexOf('--renew'), 1)
  if (renews && folder === undefined) throw new UsageError('--renew needs --certificates DIR')
  const { environment } = withFlags(process.env, flags)
  const bootstrap = readBootstrap(environment, 'sidecar', doors)
  const { node, controlPlane } = bootstrap
  const certificates = folder === undefined ? undefined : certificateFiles(folder)
  const root = environment['WEFT_XDS_ROOT']
  const identity = renews && folder !== undefined ? await keepCertificate(bootstrap, folder) : undefined
  process.stdout.write(`${JSON.stringify(grpcBootstrap({ node, target: controlPlane.target, certificates, controlPlaneRoots: root && path.resolve(root) }), undefined, 2)}\n`)
  if (identity === undefined) return exitCodes.done
  await new Promise<void>((resolve) => {
    // A timer of its own keeps the process: those of renewal do not.
    const alive = setInterval(() => {}, 60_000)
    const end = (): void => {
      clearInterval(alive)
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  })
  identity.stop()
  return exitCodes.done
}

/** Resolves when the files are there; they are written again with each renewal. */
function keepCertificate(bootstrap: Bootstrap, folder: string): Promise<WorkloadIdentity> {
  const { clock } = systemDoors
  const identity = new WorkloadIdentity(
    systemDoors,
    { uri: formatSpiffeId(bootstrap.identity), lifetimeMs: bootstrap.certificateLifetimeMs, joinToken: () => readJoinToken(bootstrap.joinToken, doors.readFile) },
    certificateService(bootstrap.controlPlane, () => clock.wallMs()),
    jsonLog(clock, (line) => process.stderr.write(line), 'info'),
  )
  return new Promise((resolve) => {
    const alive = setInterval(() => {}, 60_000)
    identity.subscribe((certificate) => {
      writeCertificateFiles(folder, certificate)
      clearInterval(alive)
      resolve(identity)
    })
    identity.start()
  })
}

const doors = { readFile: (file: string) => readFileSync(file, 'utf8'), ownAddress: () => '127.0.0.1', hostName: hostname, version }

/** Takes a flag and its value out of the list. */
function take(flags: string[], name: string): string | undefined {
  const index = flags.indexOf(name)
  if (index < 0) return undefined
  const [, value] = flags.splice(index, 2)
  return value
}
