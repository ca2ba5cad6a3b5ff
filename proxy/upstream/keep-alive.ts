import type net from 'node:net'
import type { ClusterPlan } from '#core/plan/cluster.ts'

/** Has the kernel probe a connection that stands, as its cluster asks for it. All three are said: what is not would be the runtime's choice, and not the system's. */
export function keepAlive(socket: net.Socket, { keepAlive: plan }: Pick<ClusterPlan, 'keepAlive'>): void {
  if (plan !== undefined) socket.setKeepAlive(true, plan.idleMs, plan.everyMs, plan.probes)
}
