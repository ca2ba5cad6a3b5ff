import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import type { Doors } from '#core/time/clock.ts'
import { jsonLog } from '../admin/log.ts'
import { follow } from '../ads/follow.ts'
import { PlanCell } from '../ads/plan-cell.ts'
import { Secrets } from '../identity/secrets.ts'
import { Runtime } from '../runtime.ts'
import { handleFrom } from '../upgrade/descriptor.ts'
import { descriptorsOf, ListeningSockets } from '../upgrade/listening-sockets.ts'
import { Spans } from '../telemetry/spans.ts'
import type { Answers, FromWorker, ToWorker, WorkerData } from './messages.ts'

/** Whether this is a thread of a proxy, and not its process. */
export const isWorker = (): boolean => !isMainThread && (workerData as Partial<WorkerData> | null)?.weftWorker === true

/** One thread that carries traffic, for as long as its process is there. */
export function runWorker(doors: Doors): void {
  const { node, principal, limits, environment, logLevel, ticketSecret, sockets: given = [] } = workerData as WorkerData
  const log = jsonLog(doors.clock, (line) => process.stderr.write(line))
  log.level = logLevel
  const secrets = new Secrets(log, ticketSecret)
  const sockets = new ListeningSockets()
  for (const { key, fd } of given) sockets.put(key, handleFrom(fd))
  const cell = new PlanCell(doors.clock, secrets, log)
  const spans = node.otlp === '' ? undefined : new Spans(doors.clock, node.otlp, node, log)
  const runtime = new Runtime(doors, cell, secrets, { node, log, principal, limits, environment, sockets, sharesPorts: true, residentBytes: () => process.memoryUsage.rss(), ...(spans && { onSpan: spans.onSpan }) })
  const tell = (message: FromWorker): void => parentPort?.postMessage(message)

  const bound = follow(cell, runtime, log, () => look())
  let told = false
  const look = (): void => {
    if (told || !cell.isWarm || bound.pending > 0) return
    told = true
    sockets.closeRest()
    tell({ kind: 'warm' })
  }
  cell.whenWarm(look)

  const answers: { readonly [What in keyof Answers]: (withinMs: number, announceMs: number) => Answers[What] | Promise<Answers[What]> } = {
    metrics: () => runtime.metricsText(),
    clusters: () => runtime.clusterReports(),
    loads: () => runtime.takeLoads(),
    sockets: () => descriptorsOf(runtime.listening()),
    flushed: () => (runtime.flushLogs(), undefined),
    'inbound-left': async (withinMs) => (await runtime.drainInbound(withinMs), undefined),
    async drained(withinMs, announceMs) {
      await runtime.drain(withinMs, announceMs)
      cell.stop()
      await spans?.stop()
      return undefined
    },
  }
  parentPort?.on('message', (message: ToWorker) => {
    if (message.kind === 'update') {
      // The main thread answers for it: here all goes as it went there.
      cell.take(message.update, () => {})
    } else if (message.kind === 'identity') secrets.useIdentity(message.certificate)
    else void Promise.resolve(answers[message.for](message.withinMs, message.announceMs)).then((value) => tell({ kind: 'answer', id: message.id, value }))
  })
}
