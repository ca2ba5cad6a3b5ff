import { spawn } from 'node:child_process'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import * as grpc from '@grpc/grpc-js'
import type { Clock } from '#core/time/clock.ts'
import type { ReadinessProbe } from '#core/wire/gen/istio/networking/v1alpha3/workload_group_pb.ts'
import type { WorkloadPort } from '#core/workload/workload.ts'
import { describeError } from '../admin/log.ts'

/** What a probe asks of its process. */
export interface ProbeDoors {
  readonly clock: Clock
  /** Where the application really listens. */
  readonly ports: readonly WorkloadPort[]
  /** Of commands. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Whether the mesh may have commands run here. */
  readonly runsCommands: boolean
}

interface Place {
  readonly host: string
  readonly port: number
}

const EVERYWHERE = 'localhost'

/** Asks once. Answers with the reason why the workload is not ready, empty when it is. Rejects never; the answer comes within the probe's time. */
export function askReadiness(probe: ReadinessProbe, doors: ProbeDoors): Promise<string> {
  const withinMs = (probe.timeoutSeconds || 1) * 1000
  const { httpGet, tcpSocket, exec, grpc: health } = probe
  if (httpGet !== undefined) return askHttp(httpGet, placeOf(httpGet, doors), withinMs, doors.clock)
  if (tcpSocket !== undefined) return askTcp(placeOf(tcpSocket, doors), withinMs, doors.clock)
  if (exec !== undefined) return doors.runsCommands ? askCommand(exec.command, withinMs, doors) : Promise.resolve('commands of the mesh are not run here (WEFT_EXEC_PROBES)')
  if (health !== undefined) return askGrpc(placeOf({ host: '', port: health.port }, doors), health.service, withinMs, doors.clock)
  return Promise.resolve('the probe asks nothing that is known here')
}

/** A port means the application's own, wherever that is; another host's is as it stands. */
function placeOf({ host, port }: Place, { ports }: ProbeDoors): Place {
  if (host !== '') return { host, port }
  const app = ports.find((one) => one.port === port)?.app
  return app === undefined ? { host: EVERYWHERE, port } : { host: app.address, port: app.port }
}

/** What comes first counts: the answer, or the end of the time, which then stops the asking. */
function within(withinMs: number, clock: Clock, ask: (answer: (why: string) => void) => () => void): Promise<string> {
  return new Promise((resolve) => {
    let over = false
    let stop = (): void => {}
    const answer = (why: string): void => {
      if (over) return
      over = true
      timer.cancel()
      resolve(why)
      stop()
    }
    const timer = clock.after(withinMs, () => answer(`no answer within ${withinMs / 1000} s`))
    stop = ask(answer)
    // It may have been answered before there was anything to stop.
    if (over) stop()
  })
}

function askHttp({ path, scheme, httpHeaders }: NonNullable<ReadinessProbe['httpGet']>, at: Place, withinMs: number, clock: Clock): Promise<string> {
  const headers: Record<string, string | string[]> = { 'user-agent': 'weft-probe/1.0' }
  for (const { name, value } of httpHeaders) {
    const key = name.toLowerCase()
    const before = key === 'user-agent' || key === 'host' ? undefined : headers[key]
    headers[key] = before === undefined ? value : [...[before].flat(), value]
  }
  return within(withinMs, clock, (answer) => {
    try {
      const request = scheme.toUpperCase() === 'HTTPS' ? requestHttps : requestHttp
      const options = { host: at.host, port: at.port, path: path === '' ? '/' : path.startsWith('/') ? path : `/${path}`, headers, agent: false as const, rejectUnauthorized: false }
      const call = request(options, ({ statusCode = 0 }) => answer(statusCode >= 200 && statusCode < 400 ? '' : `it answered ${statusCode}`))
      call.on('error', (error) => answer(describeError(error)))
      call.end()
      return () => call.destroy()
    } catch (error) {
      // A path or a header that HTTP cannot carry.
      answer(describeError(error))
      return () => {}
    }
  })
}

const askTcp = (at: Place, withinMs: number, clock: Clock): Promise<string> =>
  within(withinMs, clock, (answer) => {
    const socket = connect(at.port, at.host, () => answer(''))
    socket.on('error', (error) => answer(describeError(error)))
    return () => socket.destroy()
  })

const askCommand = ([program = '', ...words]: readonly string[], withinMs: number, { clock, environment }: ProbeDoors): Promise<string> =>
  within(withinMs, clock, (answer) => {
    const child = spawn(program, words, { stdio: 'ignore', env: { ...environment } })
    child.once('error', (error) => answer(describeError(error)))
    child.once('exit', (code, signal) => answer(code === 0 ? '' : `it ended with ${signal ?? code}`))
    return () => child.kill('SIGKILL')
  })

const SERVING = 1
/** grpc.health.v1.Health, https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
const check = {
  path: '/grpc.health.v1.Health/Check',
  requestSerialize: (service: string): Buffer => Buffer.from(service === '' ? new Uint8Array() : new BinaryWriter().tag(1, 2).string(service).finish()),
  responseDeserialize: (bytes: Buffer): number => {
    const reader = new BinaryReader(bytes)
    let status = 0
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === 1) status = reader.int32()
      else reader.skip(type, field)
    }
    return status
  },
}

const askGrpc = ({ host, port }: Place, service: string, withinMs: number, clock: Clock): Promise<string> =>
  within(withinMs, clock, (answer) => {
    const client = new grpc.Client(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0, 'grpc.enable_http_proxy': 0 })
    client.makeUnaryRequest(check.path, check.requestSerialize, check.responseDeserialize, service, (error, status) => answer(error !== null ? describeError(error) : status === SERVING ? '' : `its health is ${status ?? 0}`))
    return () => client.close()
  })
