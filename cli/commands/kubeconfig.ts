import { stringify } from 'yaml'
import { contextOf, type Context } from '../context.ts'
import { exitCodes, type ExitCode } from '../exit-codes.ts'
import { readArgs, serverFlags } from '../usage.ts'

export const usage = `weft kubeconfig [--server URL] [--api-key KEY] [--mesh ORG/MESH]

Prints a kubeconfig for the mesh's configuration API: weft kubeconfig > mesh.kubeconfig; kubectl --kubeconfig mesh.kubeconfig get virtualservices -A`

export async function run(args: string[]): Promise<ExitCode> {
  const { values } = readArgs(args, serverFlags, { min: 0, max: 0 })
  process.stdout.write(kubeconfigOf(contextOf(values)))
  return exitCodes.done
}

export function kubeconfigOf(context: Context): string {
  const name = `weft-${context.organization}-${context.mesh}`
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `${context.server}/k8s/${context.organization}/${context.mesh}` } }],
    users: [{ name, user: { token: context.apiKey } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
    'current-context': name,
  })
}
