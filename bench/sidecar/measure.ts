import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

/** Processes on chosen cores, what they cost, and load on them. */

export const LOAD_CPU = '0'
export const PROXY_CPU = '1'

/** All that runs now; what is left when the bench ends is killed. */
const running = new Set<ChildProcess>()

export function startOn(cpu: string, command: readonly string[], environment: NodeJS.ProcessEnv = process.env): ChildProcess {
  const child = spawn('taskset', ['-c', cpu, ...command], { stdio: ['ignore', 'ignore', 'inherit'], env: environment })
  child.on('error', (error) => {
    throw error
  })
  return keep(child)
}

function keep<Child extends ChildProcess>(child: Child): Child {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((ended) => child.once('exit', ended))
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 3000)
  await gone
  clearTimeout(hard)
}

/** At once, as the last thing a process does. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** What a program on the load's core prints. */
export async function output(command: readonly string[], cpu = LOAD_CPU): Promise<string> {
  const child = keep(spawn('taskset', ['-c', cpu, ...command], { stdio: ['ignore', 'pipe', 'inherit'] }))
  let out = ''
  child.stdout.on('data', (bytes: Buffer) => (out += bytes.toString()))
  await new Promise<void>((ended, failed) => {
    child.once('error', failed)
    child.once('close', () => ended())
  })
  return out
}

/** Waits until the port answers with that status. `host`: asks by HTTPS with that SNI, whoever's the certificate. @throws Error after 15 s */
export async function ready(port: number, path: string, { status: wanted = 200, everyMs = 20, host = '' } = {}): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  const options = { host: '127.0.0.1', port, path, agent: false, timeout: 1000 }
  for (;;) {
    const status = await new Promise<number>((resolve) => {
      const heard = (response: http.IncomingMessage): void => {
        response.resume()
        resolve(response.statusCode ?? 0)
      }
      const request = host === '' ? http.get(options, heard) : https.get({ ...options, servername: host, headers: { host }, rejectUnauthorized: false }, heard)
      request.on('error', () => resolve(0))
      request.on('timeout', () => request.destroy())
    })
    if (status === wanted) return
    if (performance.now() > deadlineMs) throw new Error(`port ${port} is not ready: last status ${status}`)
    await new Promise((tick) => setTimeout(tick, everyMs))
  }
}

/** On-CPU nanoseconds of all threads of processes (Linux: schedstat). */
export function cpuNs(pids: readonly number[]): number {
  let ns = 0
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      try {
        ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0])
      } catch {
        // The thread ended while we looked.
      }
    }
  }
  return ns
}

export interface Load {
  readonly requests: number
  readonly failures: number
  /** How long it took, when that is not what was asked for. */
  readonly seconds?: number
}

/** Eleven headers, as an application behind a gateway sends. */
export const HEADERS = [
  'user-agent: checkout/2.14.0 (linux; x86_64) http-client/5.1',
  'accept: application/json, text/plain;q=0.9, */*;q=0.8',
  'accept-encoding: gzip, deflate, br',
  'accept-language: en-GB,en;q=0.7',
  'content-type: application/json',
  `authorization: Bearer ${'eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ'.repeat(6)}`,
  'x-request-id: 6f1c1c5e-6c9e-4b3a-8f7e-0d9a4c1b2e3f',
  'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  'x-forwarded-for: 203.0.113.7',
  'cache-control: no-cache',
]

export const headersAsFlags = (headers: readonly string[]): string[] => headers.flatMap((header) => ['-H', header])

export async function wrk(port: number, path: string, seconds: number, connections: number): Promise<Load> {
  const out = await output(['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, ...headersAsFlags(HEADERS), `http://127.0.0.1:${port}${path}`])
  const requests = Number(/(\d+) requests in/.exec(out)?.[1] ?? 0)
  if (requests === 0) throw new Error(`wrk: ${out}`)
  return { requests, failures: Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0) + (out.includes('Socket errors') ? 1 : 0) }
}

/** Requests by h2load for so many seconds. `parameters`: connections, streams, protocol, body. */
export const h2load = (url: string, seconds: number, parameters: readonly string[], headers: readonly string[] = HEADERS): Promise<Load> => runH2load([`-D${seconds}`, ...parameters, ...headersAsFlags(headers), url])

/**
 * The same with a connection of its own for each request: told to close, the server does. Of `each` connections that a client of h2load makes, the first has a full handshake and the others resume its
 * session, where the server gives tickets: 1 for handshakes in full alone.
 */
export async function h2loadAnew(url: string, seconds: number, connections: number, each: number, parameters: readonly string[]): Promise<Load> {
  const startedMs = performance.now()
  let [requests, failures, tookS] = [0, 0, 0]
  // Given a duration, h2load may wait for ever at its end when connections are made anew; given a number it ends.
  while (tookS < seconds) {
    const load = await runH2load([`-n${connections * each}`, `-c${connections}`, '--h1', ...parameters, ...headersAsFlags([...HEADERS, 'connection: close']), url])
    requests += load.requests
    failures += load.failures
    tookS = (performance.now() - startedMs) / 1000
  }
  return { requests, failures, seconds: tookS }
}

async function runH2load(parameters: readonly string[]): Promise<Load> {
  const out = await output(['h2load', '-t1', ...parameters])
  const done = Number(/(\d+) done/.exec(out)?.[1] ?? 0)
  if (done === 0) throw new Error(`h2load: ${out}`)
  return { requests: done, failures: done - Number(/(\d+) 2xx/.exec(out)?.[1] ?? 0) }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)) / 2
}
