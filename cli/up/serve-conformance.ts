import { serve as serveHttp } from '@hono/node-server'
import { conformanceApp } from '#api/conformance-app.ts'
import { discoveryApp } from '#api/discovery-app.ts'
import { startConformance } from '#api/serve/conformance.ts'
import type { ClusterLoad } from '#api/serve/load-reports.ts'
import { NodeStates } from '#api/serve/node-states.ts'
import { systemDoors } from '#core/time/system.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'

/**
 * `weft server --xds-conformance`: the discovery server alone, over states that a test fills by hand. Prints its ports as one line of JSON, and runs until a signal ends it.
 * @throws Error where the address is not loopback, or a port is taken
 */
export async function serveConformance(address: string, xdsPort: number, controlPort: number): Promise<ExitCode> {
  const states = new NodeStates()
  const loads = new Map<string, ClusterLoad[]>()
  const xds = await startConformance(
    systemDoors,
    states,
    { address, port: xdsPort },
    (node, clusters) => loads.set(node, [...(loads.get(node) ?? []), ...clusters]),
    (event, fields) => process.stderr.write(`${JSON.stringify({ event, ...fields })}\n`),
  )
  const app = conformanceApp({ states, ledger: xds.ledger, loads })
  app.route('/', discoveryApp(xds.longPoll))
  const control = await new Promise<{ close(): void; port: number }>((resolve, reject) => {
    const server = serveHttp({ fetch: app.fetch, hostname: address, port: controlPort }, (info) => resolve({ close: () => server.close(), port: info.port }))
    server.once('error', reject)
  })
  process.stdout.write(`${JSON.stringify({ xds: { address, port: xds.port }, control: { address, port: control.port } })}\n`)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  control.close()
  await xds.close(100)
  return exitCodes.done
}
