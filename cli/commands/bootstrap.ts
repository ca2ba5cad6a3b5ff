import { hostname } from 'node:os'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { envoyBootstrap } from '#proxy/bootstrap/envoy-bootstrap.ts'
import { grpcBootstrap } from '#proxy/bootstrap/grpc-bootstrap.ts'
import { readBootstrap, withFlags } from '#proxy/bootstrap/read-bootstrap.ts'
import { version } from '#proxy/version.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { UsageError } from '../usage.ts'

export const usage = `weft bootstrap envoy [--type sidecar|router] [--sds-socket PATH] [flags of weft proxy]
weft bootstrap grpc [--certificates DIR] [flags of weft proxy]

Prints the bootstrap of a stock Envoy: incremental ADS over mTLS, with the certificate that the agent beside it serves on the socket.
weft proxy --engine envoy does all of this, and starts Envoy as well.

bootstrap grpc prints the file that a gRPC client without a proxy finds by GRPC_XDS_BOOTSTRAP. DIR holds cert-chain.pem, key.pem and root-cert.pem, kept fresh by whoever holds the
workload's identity; without it discovery is in plaintext, on loopback only, and there is no mutual TLS.`

export async function run(args: string[]): Promise<ExitCode> {
  const [what, ...flags] = args
  if (what === 'grpc') return grpc(flags)
  if (what !== 'envoy') throw new UsageError('bootstrap envoy or bootstrap grpc')
  const type = take(flags, '--type') ?? 'sidecar'
  if (type !== 'sidecar' && type !== 'router') throw new UsageError('--type is sidecar or router')
  const sdsSocket = path.resolve(take(flags, '--sds-socket') ?? 'sds.sock')
  const { environment } = withFlags(process.env, flags)
  const { node, controlPlane, admin } = readBootstrap(environment, type, doors)
  process.stdout.write(`${JSON.stringify(envoyBootstrap({ node, controlPlane, admin, sdsSocket }), undefined, 2)}\n`)
  return exitCodes.done
}

function grpc(flags: string[]): ExitCode {
  const folder = take(flags, '--certificates')
  const { environment } = withFlags(process.env, flags)
  const { node, controlPlane } = readBootstrap(environment, 'sidecar', doors)
  const at = (file: string): string => path.resolve(folder ?? '', file)
  const certificates = folder === undefined ? undefined : { certificate: at('cert-chain.pem'), privateKey: at('key.pem'), roots: at('root-cert.pem') }
  process.stdout.write(`${JSON.stringify(grpcBootstrap({ node, target: controlPlane.target, certificates }), undefined, 2)}\n`)
  return exitCodes.done
}

const doors = { readFile: (file: string) => readFileSync(file, 'utf8'), ownAddress: () => '127.0.0.1', hostName: hostname, version }

/** Takes a flag and its value out of the list. */
function take(flags: string[], name: string): string | undefined {
  const index = flags.indexOf(name)
  if (index < 0) return undefined
  const [, value] = flags.splice(index, 2)
  return value
}
