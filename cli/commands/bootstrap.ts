import { hostname } from 'node:os'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { envoyBootstrap } from '#proxy/bootstrap/envoy-bootstrap.ts'
import { readBootstrap, withFlags } from '#proxy/bootstrap/read-bootstrap.ts'
import { version } from '#proxy/version.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { UsageError } from '../usage.ts'

export const usage = `weft bootstrap envoy [--type sidecar|router] [--sds-socket PATH] [flags of weft proxy]

Prints the bootstrap of a stock Envoy: incremental ADS over mTLS, with the certificate that the agent beside it serves on the socket.
weft proxy --engine envoy does all of this, and starts Envoy as well.`

export async function run(args: string[]): Promise<ExitCode> {
  const [what, ...flags] = args
  if (what !== 'envoy') throw new UsageError('bootstrap envoy')
  const type = take(flags, '--type') ?? 'sidecar'
  if (type !== 'sidecar' && type !== 'router') throw new UsageError('--type is sidecar or router')
  const sdsSocket = path.resolve(take(flags, '--sds-socket') ?? 'sds.sock')
  const { environment } = withFlags(process.env, flags)
  const doors = { readFile: (file: string) => readFileSync(file, 'utf8'), ownAddress: () => '127.0.0.1', hostName: hostname, version }
  const { node, controlPlane, admin } = readBootstrap(environment, type, doors)
  process.stdout.write(`${JSON.stringify(envoyBootstrap({ node, controlPlane, admin, sdsSocket }), undefined, 2)}\n`)
  return exitCodes.done
}

/** Takes a flag and its value out of the list. */
function take(flags: string[], name: string): string | undefined {
  const index = flags.indexOf(name)
  if (index < 0) return undefined
  const [, value] = flags.splice(index, 2)
  return value
}
