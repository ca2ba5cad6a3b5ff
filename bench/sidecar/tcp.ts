import net from 'node:net'
import { join } from 'node:path'
import type { Bed } from './bed.ts'
import { tcpResources } from './config.ts'
import type { Load } from './measure.ts'
import { LOAD_CPU, output, startOn, stop } from './measure.ts'
import { saturate } from './saturation.ts'
import { singleSubjects } from './subjects.ts'

const TCP_BACKEND = 21183

/** Connections through a tcp_proxy, each of which sends 64 KiB and waits until they are back. */
export async function measureTcp(bed: Bed): Promise<void> {
  const backend = startOn(LOAD_CPU, [process.execPath, join(import.meta.dirname, 'tcp-backend.ts'), String(TCP_BACKEND)])
  try {
    await echoes(TCP_BACKEND)
    const subjects = singleSubjects(bed, 'tcp', 21137, (port, log) => tcpResources(port, TCP_BACKEND, log))
    const load = (port: number, seconds: number): Promise<Load> => exchanges(port, seconds, bed.options.connections)
    await saturate(bed, 'TCP 64 KiB both ways', subjects, { unit: 'exchange', ready: echoes, load }, [{ subject: 'weft', peer: 'envoy', ratio: 1 }])
  } finally {
    await stop(backend)
  }
}

async function exchanges(port: number, seconds: number, connections: number): Promise<Load> {
  const out = await output([process.execPath, join(import.meta.dirname, 'tcp-load.ts'), String(port), String(seconds), String(connections)])
  const [, done = '0', failed = '0'] = /(\d+) done, (\d+) failed/.exec(out) ?? []
  if (Number(done) === 0) throw new Error(`port ${port} echoes nothing: ${out}`)
  return { requests: Number(done), failures: Number(failed) }
}

/** Resolves when a byte sent to the port comes back. @throws Error after 15 s */
async function echoes(port: number): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  for (;;) {
    const back = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      const end = (there: boolean): void => {
        socket.destroy()
        resolve(there)
      }
      socket.setTimeout(1000, () => end(false))
      socket.on('error', () => end(false)).on('close', () => end(false)).on('data', () => end(true))
      socket.write('x')
    })
    if (back) return
    if (performance.now() > deadlineMs) throw new Error(`port ${port} does not echo`)
    await new Promise((tick) => setTimeout(tick, 20))
  }
}
