import { readFileSync } from 'node:fs'
import { availableParallelism, hostname, networkInterfaces } from 'node:os'
import { describeFault, Faults } from '#core/fault/fault.ts'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import { systemDoors } from '#core/time/system.ts'
import { describeError, jsonLog, type Log } from './admin/log.ts'
import type { Bootstrap } from './bootstrap/bootstrap.ts'
import { readBootstrap, withFlags } from './bootstrap/read-bootstrap.ts'
import type { Environment } from './bootstrap/variables.ts'
import { type ProcessDoors, startProxy } from './start.ts'
import { SUCCESSOR_VARIABLE } from './upgrade/messages.ts'
import { inherit, isSuccessor, serveAsSuccessor } from './upgrade/successor.ts'
import { isWorker, runWorker } from './workers/worker.ts'
import { Succession } from './upgrade/succession.ts'
import { version } from './version.ts'
import { wrapCommand, type Wrapper } from './wrap.ts'

const WRONG_USAGE = 2

/**
 * One process that is one proxy, from its environment to its exit: 0 after SIGTERM or SIGINT, when what was in flight has ended; 2 for a wrong bootstrap; 1 when it cannot start.
 * SIGUSR2 replaces the bundled engine by the program as it is on disk, in place. Logs are JSON lines on stderr; access logs go where the configuration says, usually stdout.
 */
export async function runProxy(type: 'sidecar' | 'router', environment: Environment, flags: readonly string[]): Promise<void> {
  if (isWorker()) return runWorker(systemDoors)
  const log = jsonLog(systemDoors.clock, (line) => process.stderr.write(line))
  let bootstrap: Bootstrap
  // Behind `--` stands the application, for which the proxy is a wrapper.
  const dashes = flags.indexOf('--')
  const command = dashes < 0 ? undefined : flags.slice(dashes + 1)
  try {
    const merged = withFlags(environment, dashes < 0 ? flags : flags.slice(0, dashes))
    bootstrap = readBootstrap(merged.environment, type, { readFile, ownAddress: () => ownAddresses()[0], ownAddresses, hostName: hostname, version })
  } catch (error) {
    if (!(error instanceof Faults)) throw error
    for (const one of error.faults) log.error('proxy.bootstrap', { code: one.code, path: one.path, error: describeFault(one) })
    process.exit(WRONG_USAGE)
  }
  log.level = bootstrap.logLevel
  // A successor takes the traffic over; the application is its predecessor's child.
  if (command !== undefined && !isSuccessor(environment)) {
    if (command.length === 0) {
      log.error('proxy.bootstrap', { error: 'no command stands behind --' })
      process.exit(WRONG_USAGE)
    }
    process.exit(await wrap(environment, bootstrap, command, log))
  }

  if (bootstrap.engine.kind === 'weft') return runWeft(environment, bootstrap, log)
  let running: Wrapper | undefined
  onceAtEnd(() => void (running?.stop() ?? Promise.resolve()).then(() => process.exit(0)))
  running = await startEnvoy(bootstrap, bootstrap.engine, log)
  if (running === undefined) process.exit(1)
  void running.ready.then(() => running?.announce())
}

/** The agent beside a stock Envoy. Undefined, logged: it cannot start. */
async function startEnvoy(bootstrap: Bootstrap, engine: Extract<Bootstrap['engine'], { kind: 'envoy' }>, log: Log): Promise<Wrapper | undefined> {
  try {
    // Only the agent pays for the code that steers an Envoy.
    const { runEnvoy } = await import('./engine/envoy.ts')
    return await runEnvoy(systemDoors, bootstrap, engine, aroundOf(log))
  } catch (error) {
    log.error('proxy.start-failed', { error: describeError(error) })
    return undefined
  }
}

/** The bundled engine, which SIGUSR2 replaces by the program as it is on disk by then, while it serves. */
async function runWeft(environment: Environment, bootstrap: Bootstrap, log: Log): Promise<void> {
  let running: Succession | undefined
  onceAtEnd(() => void (running?.stop() ?? Promise.resolve()).then(() => process.exit(0)))
  running = await startWeft(environment, bootstrap, log)
  if (running === undefined) process.exit(1)
  // The application starts by itself, before or after: who runs it knows when.
  void running.ready.then(() => running?.announce())
  process.exit(await running.ended)
}

async function wrap(environment: Environment, bootstrap: Bootstrap, command: readonly string[], log: Log): Promise<number> {
  const running = bootstrap.engine.kind === 'envoy' ? await startEnvoy(bootstrap, bootstrap.engine, log) : await startWeft(environment, bootstrap, log)
  return running === undefined ? 1 : wrapCommand(running, command, bootstrap.node.ports, systemDoors.clock, log)
}

/** Undefined, logged: it cannot start. */
async function startWeft(environment: Environment, bootstrap: Bootstrap, log: Log): Promise<Succession | undefined> {
  const inheritance = isSuccessor(environment) ? await inherit(formatSpiffeId(bootstrap.identity), systemDoors.clock.wallMs(), environment[SUCCESSOR_VARIABLE]) : undefined
  try {
    const proxy = await startProxy(systemDoors, bootstrap, { ...aroundOf(log), ...(inheritance && { inheritance }) })
    const succession = new Succession(systemDoors.clock, log, environment, proxy)
    // The first process starts all successors: it is there for as long as any.
    if (inheritance !== undefined) serveAsSuccessor(proxy, inheritance, () => process.exit(0))
    else process.on('SIGUSR2', () => void succession.upgrade())
    return succession
  } catch (error) {
    log.error('proxy.start-failed', { error: describeError(error) })
    return undefined
  }
}

const aroundOf = (log: Log): ProcessDoors => ({ log, readFile, memory: () => process.memoryUsage(), cores: availableParallelism(), ownAddresses: othersReach, quit: () => process.exit(0) })

function onceAtEnd(end: () => void): void {
  let ending = false
  const once = (): void => {
    if (!ending) end()
    ending = true
  }
  process.on('SIGTERM', once)
  process.on('SIGINT', once)
}

const readFile = (path: string): string => readFileSync(path, 'utf8')

/** Addresses that other machines can reach, IPv4 before IPv6. */
function othersReach(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []).filter(({ address, internal }) => !internal && !address.startsWith('fe80:'))
  return ['IPv4', 'IPv6'].flatMap((of) => all.filter(({ family }) => family === of).map(({ address }) => address))
}

/** The first of each family; loopback where there is none. */
function ownAddresses(): [string, ...string[]] {
  const all = othersReach()
  const [first, ...others] = [all.find((one) => !one.includes(':')) ?? [], all.find((one) => one.includes(':')) ?? []].flat()
  return first === undefined ? ['127.0.0.1'] : [first, ...others]
}
