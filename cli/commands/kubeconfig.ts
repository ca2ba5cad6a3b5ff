import { kubeconfigText } from '#core/contract/kubeconfig.ts'
import { contextOf } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readArgs, serverFlags } from '../usage.ts'

export const usage = `weft kubeconfig [--server URL] [--api-key KEY] [--mesh ORG/MESH]

Prints a kubeconfig for the mesh's configuration API: weft kubeconfig > mesh.kubeconfig; kubectl --kubeconfig mesh.kubeconfig get virtualservices -A`

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, serverFlags, { min: 0, max: 0 })
  const context = contextOf(values)
  process.stdout.write(kubeconfigText(context.server, context.organization, context.mesh, context.apiKey))
  return exitCodes.done
}
