import { systemDoors } from '#core/time/system.ts'
import { openStore } from '#db/open.ts'

// Writes to a store until it is killed: batches of three objects that bear the batch's number. Prints the number of each acknowledged batch.

const [url = '', keyHex = ''] = process.argv.slice(2)
const store = await openStore(url, { doors: systemDoors, sealKey: Buffer.from(keyHex, 'hex') })
const organization = (await store.organizationByName('writer')) ?? (await store.createOrganization('writer'))
const mesh =
  (await store.meshByName(organization.id, 'mesh')) ?? (await store.createMesh(organization.id, { name: 'mesh', trustDomain: 'cluster.local', sealedRoot: new Uint8Array([1]), rootCertificate: 'none' }))
for (let batch = 1; ; batch++) {
  const writes = ['a', 'b', 'c'].map((part) => {
    const name = `batch-${batch}-${part}`
    return { key: { group: '', kind: 'ConfigMap', namespace: 'n', name }, object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'n' }, data: { batch: String(batch) } } }
  })
  await store.applyResources(organization.id, mesh.id, writes, { author: 'writer', message: '' })
  process.stdout.write(`${batch}\n`)
}
