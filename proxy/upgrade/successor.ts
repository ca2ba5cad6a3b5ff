import { createPrivateKey } from 'node:crypto'
import type { Environment } from '../bootstrap/variables.ts'
import { readIssued, type WorkloadCertificate } from '../identity/certificate.ts'
import type { Proxy } from '../start.ts'
import { give, giveThreads } from './give.ts'
import { ListeningSockets, type SocketHandle } from './listening-sockets.ts'
import { GIVES_THREADS, SUCCESSOR_VARIABLE, type ToPredecessor, type ToSuccessor } from './messages.ts'

/** What a process takes over from the one before it. */
export interface Inheritance {
  readonly sockets: ListeningSockets
  readonly certificate: WorkloadCertificate | undefined
}

export const isSuccessor = (environment: Environment): boolean => environment[SUCCESSOR_VARIABLE] !== undefined && process.send !== undefined

const tell = (message: ToPredecessor, handle?: SocketHandle, sent: () => void = () => {}): void => {
  // Gone, it needs no telling; the traffic goes on.
  if (process.connected) process.send?.(message, handle as never, {}, sent)
  else sent()
}

/** Waits for all that the predecessor gives. `uri`: who this proxy is; `told`: how it was told to be a successor. */
export function inherit(uri: string, nowMs: number, told: string | undefined): Promise<Inheritance> {
  return new Promise((resolve) => {
    const sockets = new ListeningSockets()
    let certificate: WorkloadCertificate | undefined
    const onMessage = (message: ToSuccessor, handle: unknown): void => {
      if (message.kind === 'identity') certificate = readIssued(message.chain, createPrivateKey(message.keyPem), uri, nowMs)
      else if (message.kind === 'socket' && handle !== undefined) sockets.put(message.key, handle as SocketHandle)
      else if (message.kind === 'thread-socket' && handle !== undefined) sockets.putOfThread(message.key, handle as SocketHandle)
      else if (message.kind === 'all-given' && told === GIVES_THREADS) tell({ kind: 'give-threads' })
      else if (message.kind === 'all-given' || message.kind === 'threads-given') {
        process.off('message', onMessage)
        resolve({ sockets, certificate })
      }
    }
    process.on('message', onMessage)
  })
}

/** Answers the predecessor for as long as both are there; `retired` ends this process. */
export function serveAsSuccessor(proxy: Proxy, inherited: Inheritance, retired: () => void): void {
  process.on('message', (message: ToSuccessor) => {
    if (message.kind === 'give') give(proxy, tell)
    else if (message.kind === 'give-threads') void giveThreads(proxy, tell)
    else if (message.kind === 'leave-inbound') void proxy.leaveInbound(message.withinMs).then(() => tell({ kind: 'left-inbound' }))
    else if (message.kind === 'retire') void proxy.stop().then(retired)
  })
  void proxy.ready.then(() => {
    inherited.sockets.closeRest()
    tell({ kind: 'ready' })
  })
}
