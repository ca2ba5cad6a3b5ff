import { type ChildProcess, fork } from 'node:child_process'
import http from 'node:http'
import { join } from 'node:path'
import type { SoakReport } from './proxy.ts'

export interface SoakResult {
  readonly seconds: number
  readonly requests: number
  readonly byFate: Readonly<Record<string, number>>
  /** Requests whose end was not what their fate made it: each in words. */
  readonly wrong: readonly string[]
  readonly changes: number
  readonly rssStartBytes: number
  readonly rssEndBytes: number
  /** Of the latter half, by least squares: in the first the heap grows to what the load needs. */
  readonly rssBytesPerMinute: number
  /** After the load stopped. */
  readonly left: SoakReport
}

/** What befalls a request upstream, told by the client so that its end can be judged; weights of a thousand. */
const FATES: readonly (readonly [fate: string, weight: number, good: (status: number, broken: boolean) => boolean])[] = [
  ['ok', 955, (status, broken) => status === 200 && !broken],
  ['busy', 15, (status, broken) => status === 503 && !broken],
  ['slow', 10, (status, broken) => status === 200 && !broken],
  ['reset', 10, (status, broken) => status === 503 && !broken],
  ['cut', 10, (status, broken) => status === 200 && broken],
]

function startUpstream(): Promise<{ port: number; close(): void }> {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      switch (request.headers['x-fate']) {
        case 'busy':
          return void response.writeHead(503).end('busy')
        case 'slow':
          return void setTimeout(() => response.end('x'.repeat(1000)), 300)
        case 'reset':
          return void request.socket.destroy()
        case 'cut':
          response.writeHead(200, { 'content-length': '100000' }).write('x'.repeat(1000))
          return void setTimeout(() => request.socket.destroy(), 10)
        default:
          return void response.end('x'.repeat(Number(request.headers['x-size'] ?? 100)))
      }
    })
  })
  server.keepAliveTimeout = 60_000
  return new Promise((resolve) =>
    server.listen(0, '0.0.0.0', () => {
      const address = server.address()
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close() {
          server.closeAllConnections()
          server.close()
        },
      })
    }),
  )
}

const report = (child: ChildProcess): Promise<SoakReport> =>
  new Promise((resolve) => {
    child.once('message', (message) => resolve(message as SoakReport))
    child.send('report')
  })

/** Moderate load through a proxy whose configuration changes each second, in front of servers that fail now and then. Prints a line each ten seconds to `say`. */
export async function soak(seconds: number, perSecond: number, say: (line: string) => void): Promise<SoakResult> {
  const upstreams = await Promise.all([startUpstream(), startUpstream()])
  const child = fork(join(import.meta.dirname, 'proxy.ts'), upstreams.map(({ port }) => String(port)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: ['--disable-warning=ExperimentalWarning'] })
  const { port } = await new Promise<{ port: number }>((resolve, reject) => {
    child.once('message', (message) => resolve(message as { port: number }))
    child.once('exit', (code) => reject(new Error(`the proxy ended with ${code}`)))
  })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
  const byFate: Record<string, number> = {}
  const wrong: string[] = []
  const pending = new Set<Promise<void>>()
  let requests = 0
  const one = (): void => {
    requests += 1
    let point = (requests * 379) % 1000
    const chosen = FATES.find(([, weight]) => (point -= weight) < 0) ?? FATES[0]
    if (chosen === undefined) return
    const [fate, , good] = chosen
    const body = requests % 3 === 0 ? 'y'.repeat((requests * 131) % 20_000) : undefined
    const ended = send(port, agent, fate, body, (requests * 997) % 30_000).then(({ status, broken, why }) => {
      byFate[fate] = (byFate[fate] ?? 0) + 1
      if (!good(status, broken)) wrong.push(`${fate}: ${status}${broken ? ' broken off' : ''} ${why}`)
    })
    pending.add(ended)
    void ended.finally(() => pending.delete(ended))
  }
  const load = setInterval(() => {
    for (let nth = 0; nth < perSecond / 50; nth++) one()
  }, 20)
  const samples: { second: number; rssBytes: number }[] = []
  const startMs = performance.now()
  for (let second = 1; second <= seconds; second++) {
    await new Promise((tick) => setTimeout(tick, Math.max(0, startMs + second * 1000 - performance.now())))
    const now = await report(child)
    samples.push({ second, rssBytes: now.rssBytes })
    if (second % 10 === 0) say(`${second} s: ${requests} requests, ${wrong.length} wrong, ${now.changes} changes, ${(now.rssBytes / 1e6).toFixed(1)} MB, ${now.active} under way, ${now.connections} connections`)
  }
  clearInterval(load)
  await Promise.all(pending)
  agent.destroy()
  let left = await report(child)
  for (let tries = 0; tries < 50 && (left.active > 0 || left.connections > 0 || left.endpointsBusy > 0); tries++) {
    await new Promise((tick) => setTimeout(tick, 100))
    left = await report(child)
  }
  child.removeAllListeners('exit')
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.disconnect()
  await gone
  for (const upstream of upstreams) upstream.close()
  return {
    seconds,
    requests,
    byFate,
    wrong,
    changes: left.changes,
    rssStartBytes: samples[0]?.rssBytes ?? 0,
    rssEndBytes: samples.at(-1)?.rssBytes ?? 0,
    rssBytesPerMinute: slope(samples.slice(Math.floor(samples.length / 2))),
    left,
  }
}

function send(port: number, agent: http.Agent, fate: string, body: string | undefined, size: number): Promise<{ status: number; broken: boolean; why: string }> {
  return new Promise((resolve) => {
    let status = 0
    const fail = (why: string): void => resolve({ status, broken: true, why })
    const headers = { host: 'soak.example', 'x-fate': fate, 'x-size': String(size) }
    const request = http.request({ port, host: '127.0.0.1', path: '/soak', method: body === undefined ? 'GET' : 'POST', agent, headers, timeout: 10_000 }, (response) => {
      status = response.statusCode ?? 0
      response.on('error', (error) => fail(error.message))
      response.on('close', () => (response.complete ? resolve({ status, broken: false, why: '' }) : fail('incomplete')))
      response.resume()
    })
    request.on('timeout', () => request.destroy(new Error('no answer within ten seconds')))
    request.on('error', (error) => fail(error.message))
    request.end(body)
  })
}

/** Bytes a minute. */
function slope(samples: readonly { second: number; rssBytes: number }[]): number {
  const meanX = samples.reduce((sum, one) => sum + one.second, 0) / samples.length
  const meanY = samples.reduce((sum, one) => sum + one.rssBytes, 0) / samples.length
  let above = 0
  let below = 0
  for (const { second, rssBytes } of samples) {
    above += (second - meanX) * (rssBytes - meanY)
    below += (second - meanX) ** 2
  }
  return below === 0 ? 0 : (60 * above) / below
}
