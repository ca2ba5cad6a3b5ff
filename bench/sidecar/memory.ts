import { readFileSync, readdirSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import type { Bed, Subject } from './bed.ts'
import { bootstrap, envoyCommand, write } from './bed.ts'
import { startBundled } from './bundled.ts'
import { plainResources } from './config.ts'
import { PROXY_CPU, ready, startOn, stop } from './measure.ts'
import type { Goal } from './report.ts'
import { samplesOf } from './report.ts'
import { BACKEND } from './subjects.ts'

const CONNECTIONS = 1000
/** Until a process that has nothing more to do has given back what it does not need. */
const SETTLE_MS = 3000
/** 128 MiB: what operators give a sidecar. */
const LIMIT_MB = 134
const GOALS: readonly Goal[] = [{ subject: 'weft', peer: 'envoy', ratio: 1 }]

const [ENVOY_PORT, WEFT_PORT] = [21131, 21132]

/** Memory of all processes of a proxy: idle, and with so many connections that each had one answer. Memory hardly differs from round to round: three are enough. */
export async function measureMemory(bed: Bed): Promise<void> {
  const { folder, envoy, options, report } = bed
  const bundled = await startBundled(bed, plainResources(WEFT_PORT, BACKEND, join(folder, 'weft.log')))
  const subjects: Subject[] = [{ name: 'weft', port: WEFT_PORT, commands: [bundled.command([])] }]
  if (envoy !== undefined) subjects.unshift({ name: 'envoy', port: ENVOY_PORT, commands: [envoyCommand(envoy, write(folder, 'envoy-memory.json', bootstrap('memory', plainResources(ENVOY_PORT, BACKEND, join(folder, 'envoy.log')))), 1)] })
  const idle = { resident: samplesOf(subjects), proportional: samplesOf(subjects) }
  const held = { resident: samplesOf(subjects), proportional: samplesOf(subjects) }
  const note = (into: typeof idle, name: string, { residentMb, proportionalMb }: Memory): void => {
    into.resident.get(name)?.push(residentMb)
    into.proportional.get(name)?.push(proportionalMb)
  }
  const rounds = Math.min(3, options.rounds)
  try {
    for (let round = 0; round < rounds; round++) {
      for (const { name, port, commands } of subjects) {
        const children = commands.map((command) => startOn(PROXY_CPU, command))
        const sockets: net.Socket[] = []
        try {
          await ready(port, '/b/128')
          await sleep(SETTLE_MS)
          const pids = children.flatMap((child) => (child.pid === undefined ? [] : withDescendants(child.pid)))
          note(idle, name, memoryOf(pids))
          for (let nth = 0; nth < CONNECTIONS; nth++) sockets.push(await connectionThatAsked(port))
          await sleep(SETTLE_MS)
          note(held, name, memoryOf(pids))
        } finally {
          for (const socket of sockets) socket.destroy()
          for (const child of children) await stop(child)
        }
      }
    }
  } finally {
    bundled.close()
  }
  report.title(`memory, the bundled sidecar beside Envoy, median of ${rounds} rounds`)
  for (const [work, { resident, proportional }] of [['memory idle', idle], [`memory with ${CONNECTIONS} idle connections`, held]] as const) {
    report.measure({ work, name: `resident, ${work.slice(7)}`, unit: 'MB', better: 'less', samples: resident, goals: GOALS, limit: LIMIT_MB })
    report.measure({ work, name: `proportional, ${work.slice(7)}`, unit: 'MB', better: 'less', samples: proportional })
  }
}

const sleep = (ms: number): Promise<void> => new Promise((awake) => setTimeout(awake, ms))

/** A connection that asked once and was answered. */
function connectionThatAsked(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`port ${port} closed a connection`)))
    socket.once('data', () => resolve(socket))
    socket.write('GET /b/128 HTTP/1.1\r\nhost: bench.example\r\n\r\n')
  })
}

interface Memory {
  readonly residentMb: number
  /** Pages that several processes share count by their share. */
  readonly proportionalMb: number
}

function memoryOf(pids: readonly number[]): Memory {
  let [residentKb, proportionalKb] = [0, 0]
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
    residentKb += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1])
    proportionalKb += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1])
  }
  return { residentMb: (residentKb * 1024) / 1e6, proportionalMb: (proportionalKb * 1024) / 1e6 }
}

function withDescendants(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter((word) => word !== '').map(Number))
  return [pid, ...children.flatMap(withDescendants)]
}
