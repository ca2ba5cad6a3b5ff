import { systemDoors } from '#core/time/system.ts'
import { startControlPlane } from '#api/main.ts'

// A control plane in a process of its own, to be killed: prints where it listens and, where it was given none, a key. Ends with its parent.
const [database = '', given] = process.argv.slice(2)
const plane = await startControlPlane({
  doors: systemDoors,
  log: { debug: () => {}, info: () => {}, warn: () => {}, error: (event, fields) => console.error(event, fields) },
  database,
  sealKey: Buffer.alloc(32, 7),
  address: '127.0.0.1',
  restPort: 0,
  xdsPort: 0,
  monitoringPort: 0,
  xdsNames: ['localhost'],
  sole: true,
})
const organization = await plane.ensureOrganization('demo')
await plane.ensureMesh(organization, 'shop', 'cluster.local')
const key = given ?? (await plane.createApiKey(organization, 'informer', 'owner'))
process.stdout.write(`${JSON.stringify({ port: plane.rest.port, key })}\n`)
process.on('disconnect', () => process.exit(0))
