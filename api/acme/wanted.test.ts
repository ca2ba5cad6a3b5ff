import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACME_DIRECTORY, ACME_STATE } from '#api/model/acme.ts'
import type { StoredResource } from '#db/store.ts'
import { wantedCertificates } from './wanted.ts'

const metadata = { name: 'edge', namespace: 'edge', annotations: { [ACME_DIRECTORY]: 'https://ca.example/directory' } }
const stored = (object: StoredResource['object']): StoredResource => ({ object, revision: 1, generation: 1, createdAtMs: 0, uid: 'u' }) as StoredResource
const credentialsOf = (object: StoredResource['object']): string[] => wantedCertificates([stored(object)]).map(({ credential }) => credential)

test('no Gateway has a certificate put where the control plane keeps its accounts, nor into another namespace', () => {
  const server = (credentialName: string) => ({ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['shop.example'], tls: { mode: 'SIMPLE', credentialName } })
  assert.deepEqual(credentialsOf({ apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata, spec: { servers: [server(ACME_STATE), server('edge-cert')] } }), ['edge-cert'])
  const listener = (reference: object) => ({ name: 'https', port: 443, protocol: 'HTTPS', hostname: 'shop.example', tls: { certificateRefs: [reference] } })
  const listeners = [listener({ name: ACME_STATE }), listener({ name: 'theirs', namespace: 'other' }), listener({ name: 'edge-cert' })]
  assert.deepEqual(credentialsOf({ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', metadata, spec: { gatewayClassName: 'weft', listeners } }), ['edge-cert'])
})
