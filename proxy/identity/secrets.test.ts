import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { test } from 'node:test'
import type { ClientTlsPlan } from '#core/plan/cluster.ts'
import type { ServerTlsPlan } from '#core/plan/listener.ts'
import { SteppedClock } from '#core/time/seeded.ts'
import { systemDoors } from '#core/time/system.ts'
import { jsonLog } from '../admin/log.ts'
import { createAuthority, publicKeyOf } from '../testing/authority.ts'
import { Secrets } from './secrets.ts'
import { WorkloadIdentity } from './workload-identity.ts'

const HOUR_MS = 3_600_000
const uri = 'spiffe://cluster.local/ns/prod/sa/order-service'
const inbound: ServerTlsPlan = {
  certificates: ['default'],
  trust: 'ROOTCA',
  requireClientCertificate: true,
  allowedSans: [],
  alpn: [],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
}
const outbound: ClientTlsPlan = { certificate: 'default', trust: 'ROOTCA', allowedSans: [], sni: 'order', alpn: [] }

const log = jsonLog(systemDoors.clock, () => {})

test('an open connection outlives two rotations in a row, and each new handshake shows the newest certificate', async () => {
  const authority = createAuthority()
  // Handshakes look at the machine's own clock, so the certificates are good for an hour of it; rotations come when this one says so.
  const doors = { clock: new SteppedClock(Date.now()), random: systemDoors.random }
  const identity = new WorkloadIdentity(
    doors,
    { uri, lifetimeMs: HOUR_MS, joinToken: () => 'weft_join_x' },
    (csr) => Promise.resolve([authority.issue(publicKeyOf(csr), { uri }, doors.clock.wallMs() - 2 * HOUR_MS, doors.clock.wallMs() + HOUR_MS), authority.rootPem]),
    log,
  )
  const secrets = new Secrets(log)
  identity.subscribe((certificate) => secrets.useIdentity(certificate))
  const rotated = (count: number) =>
    new Promise<void>((resolve) => {
      const look = (): void => {
        if (identity.counts.issued >= count) resolve()
      }
      identity.subscribe(look)
      look()
    })
  identity.start()
  await rotated(1)

  // A server that answers each line with the serial number of the certificate that its side of the connection shows.
  const server = createServer({ SNICallback: (_, done) => done(null, secrets.serverContext(inbound)), requestCert: true, rejectUnauthorized: true, ca: authority.rootPem }, (socket) => {
    const own = socket.getX509Certificate()?.serialNumber ?? ''
    socket.on('data', () => socket.write(own))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const open = async (): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: address.port, servername: 'order', secureContext: secrets.clientContext(outbound), checkServerIdentity: () => undefined })
    await once(socket, 'secureConnect')
    return socket
  }
  const ask = async (socket: TLSSocket): Promise<string> => {
    socket.write('?')
    const [answer] = await once(socket, 'data')
    return String(answer)
  }

  const kept = await open()
  const first = await ask(kept)
  const serials = new Set([first])
  for (const count of [2, 3]) {
    doors.clock.advance(HOUR_MS / 2)
    await rotated(count)
    assert.equal(await ask(kept), first, 'the kept connection goes on, with the certificate of its handshake')
    const fresh = await open()
    serials.add(await ask(fresh))
    fresh.destroy()
  }
  assert.equal(serials.size, 3)
  kept.destroy()
  identity.stop()
  server.close()
  await once(server, 'close')
})

test('a plan whose secret is not there has no context; when it comes it has one, and keeps it while other secrets change', () => {
  const secrets = new Secrets(log)
  const gateway: ServerTlsPlan = { ...inbound, certificates: ['kubernetes://edge'], trust: undefined, requireClientCertificate: false }
  let changes = 0
  secrets.onChange(() => (changes += 1))
  assert.equal(secrets.serverContext(gateway), undefined)
  const authority = createAuthority()
  secrets.put({ kind: 'trust', name: 'other', version: '1', rootsPem: authority.rootPem })
  assert.equal(secrets.serverContext(gateway), undefined)
  const trusting = { ...outbound, certificate: undefined, trust: 'other' }
  const context = secrets.clientContext(trusting)
  assert.ok(context)
  secrets.put({ kind: 'trust', name: 'third', version: '1', rootsPem: authority.rootPem })
  assert.equal(secrets.clientContext(trusting), context)
  secrets.remove('other')
  assert.equal(secrets.clientContext(trusting), undefined)
  assert.equal(changes, 3)
})

test('roots that lie in a file of the host are read from it, and without the file there is no context', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-roots-'))
  try {
    const file = join(folder, 'roots.pem')
    writeFileSync(file, createAuthority().rootPem)
    const secrets = new Secrets(log)
    const plan = (path: string): ClientTlsPlan => ({ certificate: undefined, trust: `file-root:${path}`, allowedSans: [], sni: 'a', alpn: [] })
    assert.ok(secrets.clientContext(plan(file)))
    assert.equal(secrets.clientContext(plan(join(folder, 'none.pem'))), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
