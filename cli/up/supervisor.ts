import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs'
import path from 'node:path'
import type { Clock, Timer } from '#core/time/clock.ts'
import { isAlive, readRecords, startTicksOf, writeRecords, type ProcessRecord } from './process-record.ts'

export interface ProcessSpec {
  readonly name: string
  readonly argv: readonly [string, ...string[]]
  /** What its life depends on: a process found alive with equal settings is kept. */
  readonly env: Readonly<Record<string, string>>
  /** Given at start and no part of what it is: a fresh join token. */
  readonly secrets?: Readonly<Record<string, string>>
}

interface Supervised {
  readonly spec: ProcessSpec
  record: ProcessRecord
  failures: number
  restarting: boolean
}

const LOG_BYTES_MAX = 10 * 1024 * 1024

/**
 * Keeps processes running: starts them, takes over those that an earlier `weft up` left when it was killed, restarts those that end, and ends all.
 * Each process leads a group of its own, so that a Ctrl-C in the terminal reaches `weft up` alone and the order of the end is its.
 */
export class Supervisor {
  readonly #dir: string
  readonly #clock: Clock
  readonly #say: (line: string) => void
  readonly #running = new Map<string, Supervised>()
  readonly #left: Map<string, ProcessRecord>
  readonly #watch: Timer
  #ending = false

  constructor(dir: string, clock: Clock, say: (line: string) => void) {
    this.#dir = dir
    this.#clock = clock
    this.#say = say
    mkdirSync(path.join(dir, 'logs'), { recursive: true, mode: 0o700 })
    this.#left = new Map(readRecords(this.#recordFile).map((record) => [record.name, record]))
    this.#watch = clock.every(500, () => this.#look())
  }

  get #recordFile(): string {
    return path.join(this.#dir, 'processes.json')
  }

  logFile(name: string): string {
    return path.join(this.#dir, 'logs', `${name}.log`)
  }

  /** Starts it, or keeps the one that is there. Answers its process id. */
  async run(spec: ProcessSpec): Promise<{ pid: number; kept: boolean }> {
    const digest = createHash('sha256').update(JSON.stringify([spec.argv, spec.env])).digest('hex')
    const left = this.#left.get(spec.name)
    this.#left.delete(spec.name)
    if (left && isAlive(left)) {
      if (left.digest === digest) {
        this.#running.set(spec.name, { spec, record: left, failures: 0, restarting: false })
        return { pid: left.pid, kept: true }
      }
      await endProcess(left, this.#clock, 2000)
    }
    const record = this.#start(spec, digest)
    this.#running.set(spec.name, { spec, record, failures: 0, restarting: false })
    this.#save()
    return { pid: record.pid, kept: false }
  }

  /** Ends whatever an earlier run left and this one did not ask for. */
  async endLeftovers(): Promise<void> {
    await Promise.all([...this.#left.values()].map((record) => endProcess(record, this.#clock, 2000)))
    this.#left.clear()
    this.#save()
  }

  /** Ends all within `graceMs`, by SIGTERM and then SIGKILL. */
  async end(graceMs: number): Promise<void> {
    this.#ending = true
    this.#watch.cancel()
    const records = [...this.#running.values()].map((one) => one.record).concat([...this.#left.values()])
    await Promise.all(records.map((record) => endProcess(record, this.#clock, graceMs)))
    writeRecords(this.#recordFile, [])
  }

  /** One that has ended `times` times since this run began, and the last error that it wrote. */
  failing(times: number): { name: string; lastWords: string; logFile: string } | undefined {
    const found = [...this.#running.values()].find((one) => one.failures >= times)
    if (!found) return undefined
    const logFile = this.logFile(found.spec.name)
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-40)
    return { name: found.spec.name, lastWords: (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? '').trim(), logFile }
  }

  #start(spec: ProcessSpec, digest: string): ProcessRecord {
    const log = openSync(this.logFile(spec.name), 'a', 0o600)
    const [command, ...args] = spec.argv
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log], env: { ...inherited(), ...spec.env, ...spec.secrets } })
    closeSync(log)
    child.unref()
    child.on('error', (error) => this.#say(`${spec.name} does not start: ${error.message}`))
    const pid = child.pid ?? 0
    return { name: spec.name, pid, startTicks: startTicksOf(pid) ?? '', digest }
  }

  #look(): void {
    if (this.#ending) return
    for (const one of this.#running.values()) {
      this.#boundLog(one.spec.name)
      if (one.restarting || isAlive(one.record)) continue
      one.failures++
      one.restarting = true
      this.#say(`${one.spec.name} ended; starting it again (see ${this.logFile(one.spec.name)})`)
      // A process that cannot live is tried again ever more slowly, up to once in 30 s.
      const delayMs = Math.min(30_000, 250 * 2 ** (one.failures - 1))
      this.#clock.after(delayMs, () => {
        if (this.#ending) return
        one.record = this.#start(one.spec, one.record.digest)
        one.restarting = false
        this.#save()
      })
    }
  }

  /** The process writes with O_APPEND, so cutting the file under it loses old lines and nothing else. */
  #boundLog(name: string): void {
    const file = this.logFile(name)
    try {
      if (statSync(file).size > LOG_BYTES_MAX) truncateSync(file)
    } catch (error) {
      this.#say(`${file}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #save(): void {
    writeRecords(this.#recordFile, [...[...this.#running.values()].map((one) => one.record), ...this.#left.values()])
  }
}

/** Of our own environment only what every process needs, and where compiled code is kept. */
function inherited(): Record<string, string> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env
  return { PATH, HOME, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // ESRCH: it ended between the look and the signal, which is what was wanted.
  }
}

/** SIGTERM, then SIGKILL once `graceMs` have passed; resolves when it is gone. */
function endProcess(record: ProcessRecord, clock: Clock, graceMs: number): Promise<void> {
  if (record.pid <= 1 || record.pid === process.pid || !isAlive(record)) return Promise.resolve()
  signalGroup(record.pid, 'SIGTERM')
  const deadline = clock.monotonicMs() + graceMs
  return new Promise((resolve) => {
    const timer = clock.every(25, () => {
      if (isAlive(record)) {
        if (clock.monotonicMs() > deadline) signalGroup(record.pid, 'SIGKILL')
        return
      }
      timer.cancel()
      // The leader is gone; whatever of its group outlived it (an Envoy, an application) goes now.
      signalGroup(record.pid, 'SIGKILL')
      resolve()
    })
  })
}
