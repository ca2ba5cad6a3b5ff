import { stringify } from 'yaml'

/**
 * A kubeconfig for a mesh, as YAML. `server` is the control plane's URL.
 * kubectl sends tokens over HTTPS alone; over plain HTTP (loopback) the key stands in the URL, as the password of basic authentication.
 */
export function kubeconfigText(server: string, organization: string, mesh: string, key: string): string {
  const name = `weft-${organization}-${mesh}`
  const secure = server.startsWith('https://')
  const base = secure ? server : server.replace('//', `//weft:${encodeURIComponent(key)}@`)
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `${base}/k8s/${organization}/${mesh}` } }],
    users: [{ name, user: secure ? { token: key } : {} }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
    'current-context': name,
  })
}
