/** A sidecar's resolver and listeners for the test of names: `UID`, as `weft proxy --dns true` has them, with names as they come over xDS. */
import { create, toBinary } from '@bufbuild/protobuf'
import { readFileSync } from 'node:fs'
import { readNames } from '#core/plan/read-names.ts'
import type { NamesPlan } from '#core/plan/names.ts'
import { systemDoors } from '#core/time/system.ts'
import { NameTableSchema } from '#core/wire/gen/istio/networking/nds/v1/nds_pb.ts'
import { jsonLog } from '#proxy/admin/log.ts'
import { serveNames } from '#proxy/dns/serve-names.ts'

const [uid = '1337'] = process.argv.slice(2)
const { clock } = systemDoors

const table = {
  'cart.prod.svc.cluster.local': { ips: ['10.251.0.2'], registry: 'Kubernetes', shortname: 'cart', namespace: 'prod' },
  'queue.prod.svc.cluster.local': { ips: ['10.0.0.8', '10.0.0.9'], registry: 'Kubernetes', shortname: 'queue', namespace: 'prod' },
  'db.example.com': { ips: ['240.240.62.97', '2001:2::f0f0:3e61'], registry: 'External', namespace: 'prod' },
  '*.wild.example.com': { ips: ['192.0.2.1'], registry: 'External', namespace: 'prod' },
}
const read = readNames('all', toBinary(NameTableSchema, create(NameTableSchema, { table })), '1')
if (!read.ok) throw new Error(read.faults.map((one) => one.rule).join('; '))
const names = new Map<string, NamesPlan>([['all', read.plan]])

await serveNames(
  clock,
  { names, onNames: (changed) => changed('all') },
  { namespace: 'prod', addresses: ['127.0.0.1', '::1'].map((address) => ({ address, port: 15_053 })), readFile: (path) => readFileSync(path, 'utf8') },
  jsonLog(clock, (line) => process.stderr.write(line), 'warn'),
)
process.setuid?.(Number(uid))
process.stdout.write('listening\n')
