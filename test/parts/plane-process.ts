import { startQuietPlane } from './quiet-plane.ts'

// A control plane in a process of its own, to be measured or killed: prints where it listens and the keys that may ask it. Ends with its parent.
// Arguments: a database, `ORGANIZATION/MESH`, and how many keys to make, 0 for one who has some.
const [database = 'pglite:memory', place = 'demo/shop', keyCount = '1'] = process.argv.slice(2)
const [organizationName = '', meshName = ''] = place.split('/')
const plane = await startQuietPlane(database)
const organization = await plane.ensureOrganization(organizationName)
await plane.ensureMesh(organization, meshName, 'cluster.local')
// A key may make so many requests a second: load comes from several, as it would.
const keys: string[] = []
for (let at = 0; at < Number(keyCount); at += 1) keys.push(await plane.createApiKey(organization, `key-${at}`, 'owner'))
process.stdout.write(`${JSON.stringify({ port: plane.rest.port, keys })}\n`)
process.on('message', (order) => {
  if (order === 'usage') process.send?.({ cpu: process.cpuUsage(), rssMiB: process.memoryUsage().rss / 2 ** 20 })
})
process.on('disconnect', () => process.exit(0))
