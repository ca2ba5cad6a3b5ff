import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { seededDoors } from '#core/time/seeded.ts'
import { jsonLog } from '../admin/log.ts'
import { createAuthority, publicKeyOf } from '../testing/authority.ts'
import type { JoinCredential, SignRequest } from './certificate-service.ts'
import { WorkloadIdentity } from './workload-identity.ts'

const uri = 'spiffe://cluster.local/ns/prod/sa/order-service'
const LIFE_MS = 100_000

function setUp(options: { refuse?: (credential: JoinCredential, call: number) => Error | undefined; token?: string } = {}) {
  const doors = seededDoors(7)
  // Certificates are read by node:crypto with the clock handed in, so the stepped clock's epoch is as good as any.
  const authority = createAuthority()
  const asked: string[] = []
  const keys = new Set<string>()
  const sign: SignRequest = (csr, credential) => {
    asked.push(credential.kind)
    const error = options.refuse?.(credential, asked.length)
    if (error) return Promise.reject(error)
    const key = publicKeyOf(csr)
    keys.add(key.export({ type: 'spki', format: 'pem' }).toString())
    const nowMs = doors.clock.wallMs()
    return Promise.resolve([authority.issue(key, { uri }, nowMs - 30_000, nowMs + LIFE_MS), authority.rootPem])
  }
  const lines: { event: string }[] = []
  const log = jsonLog(doors.clock, (line) => lines.push(JSON.parse(line)))
  const identity = new WorkloadIdentity(doors, { uri, lifetimeMs: LIFE_MS, joinToken: () => options.token ?? 'weft_join_x' }, sign, log)
  /** Lets answers arrive, then steps the clock. */
  const advance = async (ms: number) => {
    await new Promise(setImmediate)
    doors.clock.advance(ms)
    await new Promise(setImmediate)
  }
  return { doors, identity, asked, keys, lines, advance }
}

test('the first certificate is asked for by the join token, later ones by the certificate, each before half its life and with a key of its own', async () => {
  const { identity, asked, keys, advance } = setUp()
  identity.start()
  await advance(0)
  assert.equal(identity.now?.uri, uri)
  assert.ok(identity.now.rootsPem.includes('BEGIN CERTIFICATE'))
  await advance(LIFE_MS * 0.39)
  assert.deepEqual(asked, ['token'])
  await advance(LIFE_MS * 0.11)
  assert.deepEqual(asked, ['token', 'certificate'])
  await advance(LIFE_MS / 2)
  assert.deepEqual(asked, ['token', 'certificate', 'certificate'])
  assert.equal(keys.size, 3)
  identity.stop()
})

test('a renewal late by a tenth of its period raises an alarm, while the certificate is still good', async () => {
  const { identity, lines, advance, doors } = setUp({ refuse: (_, call) => (call > 1 ? new Error('away') : undefined) })
  identity.start()
  await advance(0)
  for (let step = 0; step < 60; step++) await advance(LIFE_MS * 0.01)
  const late = lines.filter(({ event }) => event === 'identity.renewal-late')
  assert.equal(late.length, 1)
  assert.equal(identity.counts.late, 1)
  assert.ok((identity.now?.notAfterMs ?? 0) > doors.clock.wallMs())
  assert.ok(identity.overdueMs > 0)
  identity.stop()
})

test('a refused certificate makes way for the join token', async () => {
  const refusal = Object.assign(new Error('unknown issuer'), { code: grpc.status.UNAUTHENTICATED })
  const { identity, asked, advance } = setUp({ refuse: ({ kind }) => (kind === 'certificate' ? refusal : undefined) })
  identity.start()
  await advance(0)
  await advance(LIFE_MS / 2)
  await advance(10_000)
  assert.deepEqual(asked, ['token', 'certificate', 'token'])
  assert.equal(identity.counts.issued, 2)
  identity.stop()
})

test('a certificate for another identity or another key is not taken', async () => {
  const doors = seededDoors(1)
  const authority = createAuthority()
  const other: SignRequest = (csr) =>
    Promise.resolve([authority.issue(publicKeyOf(csr), { uri: 'spiffe://cluster.local/ns/prod/sa/other' }, doors.clock.wallMs(), doors.clock.wallMs() + LIFE_MS), authority.rootPem])
  const lines: string[] = []
  const identity = new WorkloadIdentity(doors, { uri, lifetimeMs: LIFE_MS, joinToken: () => 't' }, other, jsonLog(doors.clock, (line) => lines.push(line)))
  identity.start()
  await new Promise(setImmediate)
  assert.equal(identity.now, undefined)
  assert.match(lines.join(''), /not for spiffe:\/\/cluster\.local\/ns\/prod\/sa\/order-service/)
  identity.stop()
})
