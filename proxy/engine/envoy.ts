import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { formatSpiffeId } from '#core/identity/spiffe.ts'
import type { Doors } from '#core/time/clock.ts'
import type { Bootstrap } from '../bootstrap/bootstrap.ts'
import { envoyBootstrap } from '../bootstrap/envoy-bootstrap.ts'
import { certificateService } from '../identity/certificate-service.ts'
import { readJoinToken } from '../identity/join-token.ts'
import { WorkloadIdentity } from '../identity/workload-identity.ts'
import type { ProcessDoors } from '../start.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { SecretServer } from './secret-server.ts'

/** A stock Envoy with its agent. */
export interface RunningEnvoy {
  readonly identity: WorkloadIdentity
  /** Of Envoy; undefined while it is down. */
  pid(): number | undefined
  stop(): Promise<void>
}

/**
 * The agent beside a stock Envoy: gets and renews the workload's identity, serves it over a unix socket, writes the bootstrap, and keeps Envoy running.
 * Configuration and traffic are Envoy's own, and so is the admin port.
 */
export async function runEnvoy(doors: Doors, bootstrap: Bootstrap, engine: { readonly binary: string; readonly arguments: readonly string[] }, around: ProcessDoors): Promise<RunningEnvoy> {
  const { log } = around
  const { node, controlPlane } = bootstrap
  // Below the system's own folder for such things: the path of a unix socket has 107 bytes at most. Made for this user alone.
  const folder = mkdtempSync(path.join(tmpdir(), 'weft-envoy-'))
  const sdsSocket = path.join(folder, 'sds.sock')
  const configFile = path.join(folder, 'envoy.json')
  const adminAddressFile = path.join(folder, 'admin-address')
  writeFileSync(configFile, JSON.stringify(envoyBootstrap({ node, controlPlane, admin: bootstrap.admin, sdsSocket, limits: bootstrap.limits })), { mode: 0o600 })

  const secrets = new SecretServer()
  await secrets.listen(sdsSocket)
  const identity = new WorkloadIdentity(
    doors,
    { uri: formatSpiffeId(bootstrap.identity), lifetimeMs: bootstrap.certificateLifetimeMs, joinToken: () => readJoinToken(bootstrap.joinToken, around.readFile) },
    certificateService(controlPlane, () => doors.clock.wallMs()),
    log,
  )
  const drainSeconds = Math.max(1, Math.ceil(bootstrap.drainMs / 1000))
  const envoy = new EnvoyProcess(
    doors,
    {
      binary: engine.binary,
      adminAddressFile,
      arguments: [
        ...['-c', configFile, '--admin-address-path', adminAddressFile, '--use-dynamic-base-id', '--drain-time-s', String(drainSeconds)],
        ...['--log-level', envoyLevel(bootstrap.logLevel), ...engine.arguments],
      ],
    },
    log,
  )
  // Envoy starts once there is an identity: it would only wait, and could not reach the control plane.
  let started = false
  identity.subscribe((certificate) => {
    secrets.useIdentity(certificate)
    if (started) return
    started = true
    log.info('envoy.starting', { node: node.id, binary: engine.binary })
    envoy.start()
  })
  identity.start()

  return {
    identity,
    pid: () => envoy.pid,
    async stop() {
      identity.stop()
      started = true
      await envoy.stop(bootstrap.drainMs)
      secrets.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const envoyLevel = (level: Bootstrap['logLevel']): string => (level === 'warn' || level === 'info' ? 'warning' : level === 'error' ? 'error' : level)
