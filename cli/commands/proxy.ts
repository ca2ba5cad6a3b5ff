import { runProxy } from '#proxy/run.ts'
import type { ExitCode } from '../exit-codes.ts'

export const usage = `weft proxy [--xds HOST:PORT] [--xds-root FILE] [--join-token-file FILE] [--name NAME] [--namespace NS] [--service-account SA] [--labels k=v,…]
           [--address IP] [--ports JSON] [--outbound IP:PORT] [--dns true|IP:PORT] [--admin IP:PORT] [--engine weft|envoy] [--concurrency N] …

       weft proxy [flags] -- COMMAND …   as the wrapper of an application: ready before it starts, gone after it, with its exit code
       weft proxy install-capture …      (see weft proxy install-capture --help)

Runs a sidecar beside an application. Each flag is also a variable: --xds-root is WEFT_XDS_ROOT. Ends on SIGTERM when what was in flight has ended.
On SIGUSR2 the program as it is on disk by then takes the traffic over, without a connection lost; the process that was signalled stays as its parent.`

export async function run(args: string[]): Promise<ExitCode> {
  if (args[0] === 'install-capture') return (await import('./install-capture.ts')).run(args.slice(1))
  return runUntilSignal('sidecar', args)
}

/** The proxy ends the process itself, by its own exit codes. */
export async function runUntilSignal(type: 'sidecar' | 'router', args: string[]): Promise<ExitCode> {
  await runProxy(type, process.env, args)
  return new Promise<ExitCode>(() => {})
}
