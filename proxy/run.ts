import { readFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { describeFault, Faults } from '#core/fault/fault.ts'
import { systemDoors } from '#core/time/system.ts'
import { describeError, jsonLog, type Log } from './admin/log.ts'
import type { Bootstrap } from './bootstrap/bootstrap.ts'
import { readBootstrap, withFlags } from './bootstrap/read-bootstrap.ts'
import type { Environment } from './bootstrap/variables.ts'
import { type Proxy, startProxy } from './start.ts'
import { version } from './version.ts'
import { wrapCommand } from './wrap.ts'

const WRONG_USAGE = 2

/**
 * One process that is one proxy, from its environment to its exit: 0 after SIGTERM or SIGINT, when what was in flight has ended; 2 for a wrong bootstrap; 1 when it cannot start.
 * Logs are JSON lines on stderr; access logs go where the configuration says, usually stdout.
 */
export async function runProxy(type: 'sidecar' | 'router', environment: Environment, flags: readonly string[]): Promise<void> {
  const log = jsonLog(systemDoors.clock, (line) => process.stderr.write(line))
  let bootstrap: Bootstrap
  // Behind `--` stands the application, for which the proxy is a wrapper.
  const dashes = flags.indexOf('--')
  const command = dashes < 0 ? undefined : flags.slice(dashes + 1)
  try {
    const merged = withFlags(environment, dashes < 0 ? flags : flags.slice(0, dashes))
    bootstrap = readBootstrap(merged.environment, type, { readFile, ownAddress, hostName: hostname, version })
  } catch (error) {
    if (!(error instanceof Faults)) throw error
    for (const one of error.faults) log.error('proxy.bootstrap', { code: one.code, path: one.path, error: describeFault(one) })
    process.exit(WRONG_USAGE)
  }
  log.level = bootstrap.logLevel
  if (command !== undefined) {
    if (command.length === 0 || bootstrap.engine.kind !== 'weft') {
      log.error('proxy.bootstrap', { error: command.length === 0 ? 'no command stands behind --' : 'a command is wrapped by the engine weft alone' })
      process.exit(WRONG_USAGE)
    }
    process.exit(await wrap(bootstrap, command, log))
  }

  let running: Pick<Proxy, 'stop'> | undefined
  let ending = false
  const end = (): void => {
    if (ending) return
    ending = true
    void (running?.stop() ?? Promise.resolve()).then(() => process.exit(0))
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  try {
    running = await start(bootstrap, { log, readFile, memory: () => process.memoryUsage(), quit: () => process.exit(0) })
  } catch (error) {
    log.error('proxy.start-failed', { error: describeError(error) })
    process.exit(1)
  }
}

async function wrap(bootstrap: Bootstrap, command: readonly string[], log: Log): Promise<number> {
  try {
    const proxy = await startProxy(systemDoors, bootstrap, { log, readFile, memory: () => process.memoryUsage(), quit: () => process.exit(0) })
    return await wrapCommand(proxy, command, systemDoors.clock, log)
  } catch (error) {
    log.error('proxy.start-failed', { error: describeError(error) })
    return 1
  }
}

async function start(bootstrap: Bootstrap, around: Parameters<typeof startProxy>[2]): Promise<Pick<Proxy, 'stop'>> {
  if (bootstrap.engine.kind === 'weft') return startProxy(systemDoors, bootstrap, around)
  // Only the agent beside an Envoy pays for the code that steers one.
  const { runEnvoy } = await import('./engine/envoy.ts')
  return runEnvoy(systemDoors, bootstrap, bootstrap.engine, around)
}

const readFile = (path: string): string => readFileSync(path, 'utf8')

/** The first IPv4 address that other machines can reach, else loopback. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}
