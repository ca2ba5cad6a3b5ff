import { systemDoors } from '#core/time/system.ts'
import type { ControlPlane } from '#api/control-plane.ts'
import { startControlPlane } from '#api/main.ts'

/** For planes on one database, one after the other. */
export const SEAL_KEY = Buffer.alloc(32, 7)

/** A control plane that says only what fails, on loopback and any ports. */
export function startQuietPlane(database: string): Promise<ControlPlane> {
  return startControlPlane({
    doors: systemDoors,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: (event, fields) => console.error(event, fields) },
    database,
    sealKey: SEAL_KEY,
    address: '127.0.0.1',
    restPort: 0,
    xdsPort: 0,
    monitoringPort: 0,
    xdsNames: ['localhost'],
    sole: true,
  })
}
