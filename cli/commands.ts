import type { ExitCode } from './exit-codes.ts'

interface CommandModule {
  readonly usage: string
  run(args: string[]): Promise<ExitCode>
}

export interface Command {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  /** Imported when it runs: a quick command pays for itself alone. */
  load(): Promise<CommandModule>
}

export const commands: readonly Command[] = [
  { name: 'up', summary: 'run the whole system here: control plane, gateway and the example shop', load: () => import('./commands/up.ts') },
  { name: 'server', summary: 'run the control plane', load: () => import('./commands/server.ts') },
  { name: 'proxy', summary: 'run a sidecar beside an application', load: () => import('./commands/proxy.ts') },
  { name: 'gateway', summary: 'run an ingress gateway', load: () => import('./commands/gateway.ts') },
  { name: 'bootstrap', summary: 'print the bootstrap of a stock Envoy', load: () => import('./commands/bootstrap.ts') },
  { name: 'apply', summary: 'store configuration, all or nothing', load: () => import('./commands/apply.ts') },
  { name: 'get', summary: 'list or print stored objects', load: () => import('./commands/get.ts') },
  { name: 'describe', summary: 'an object, its conditions, what is wrong with it, and the proxies that carry it', load: () => import('./commands/describe.ts') },
  { name: 'delete', summary: 'delete stored objects', load: () => import('./commands/delete.ts') },
  { name: 'validate', summary: 'check files without a server', load: () => import('./commands/validate.ts') },
  { name: 'proxy-status', aliases: ['ps'], summary: 'which proxy has acknowledged what', load: () => import('./commands/proxy-status.ts') },
  { name: 'proxy-config', aliases: ['pc'], summary: "one proxy's listeners, routes, clusters, endpoints, secrets", load: () => import('./commands/proxy-config.ts') },
  { name: 'explain', summary: 'which route, policy and endpoint a request meets, and why', load: () => import('./commands/explain.ts') },
  { name: 'test', summary: 'compare what becomes of requests with what must', load: () => import('./commands/test.ts') },
  { name: 'diff', summary: 'what files, or the way back to a revision, would change', load: () => import('./commands/diff.ts') },
  { name: 'rollback', summary: 'bring the mesh or an object back to a revision', load: () => import('./commands/rollback.ts') },
  { name: 'export', summary: 'write the configuration into a folder', load: () => import('./commands/export.ts') },
  { name: 'import', summary: 'apply a folder that was exported', load: () => import('./commands/import.ts') },
  { name: 'edit', summary: 'change an object in an editor', load: () => import('./commands/edit.ts') },
  { name: 'history', summary: 'the revisions of a mesh', load: () => import('./commands/history.ts') },
  { name: 'login', summary: 'remember a server, a mesh and a key, or sign in', load: () => import('./commands/login.ts') },
  { name: 'org', summary: 'organizations, their audit log, their identity provider', load: () => import('./commands/org.ts') },
  { name: 'member', summary: 'invite people, give them roles, keep them out', load: () => import('./commands/member.ts') },
  { name: 'mesh', summary: 'create and list meshes', load: () => import('./commands/mesh.ts') },
  { name: 'key', summary: 'create, list and delete API keys', load: () => import('./commands/key.ts') },
  { name: 'token', summary: 'create, list and delete join tokens of workloads', load: () => import('./commands/token.ts') },
  { name: 'kubeconfig', summary: 'print a kubeconfig for kubectl', load: () => import('./commands/kubeconfig.ts') },
]

export const findCommand = (name: string): Command | undefined => commands.find((command) => command.name === name || command.aliases?.includes(name))
