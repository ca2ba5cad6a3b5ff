import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listed, meshOf, nodeFrom, objectsIn, readable, workloadFrom } from './testing/mesh-case.ts'
import type { ProxyWords } from './testing/mesh-case.ts'

/** What is read of a listener. */
interface Secured {
  readonly filter_chains?: readonly { readonly transport_socket?: { readonly typed_config: { readonly common_tls_context: { readonly tls_params?: object; readonly validation_context?: object } } } }[]
}

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: order, namespace: prod }
spec: { selector: { app: order }, ports: [ { name: https, port: 9443 } ] }
`
const SIDECAR: ProxyWords = { type: 'sidecar', name: 'order-1', namespace: 'prod', labels: { app: 'order' }, address: '10.0.0.2' }
const EXPLICIT: ProxyWords = { ...SIDECAR, outbound: '10.0.0.2:15001', ports: [{ port: 9443 }] }
const ROUTER: ProxyWords = { type: 'router', name: 'edge-1', namespace: 'prod', labels: { app: 'edge' }, address: '10.0.0.3' }

/** How a proxy serves TLS, wherever it does: each way once. */
function handshakes(objects: string, proxy: ProxyWords): unknown[] {
  const { views } = meshOf(objectsIn(`${SERVICE}---${objects}`), [workloadFrom({ ...EXPLICIT, address: '10.0.0.2' })])
  const view = views.viewFor(nodeFrom(proxy), undefined)
  try {
    const listeners = (listed(view)['listeners'] ?? []).map((one) => readable(one) as Secured)
    const found = listeners.flatMap((one) => one.filter_chains ?? []).flatMap(({ transport_socket: socket }) => (socket === undefined ? [] : [socket.typed_config]))
    return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()]
  } finally {
    view.release()
  }
}

const ingress = (tls: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: order, namespace: prod }
spec: { workloadSelector: { labels: { app: order } }, ingress: [ { port: { number: 9443, protocol: HTTPS, name: https }, defaultEndpoint: "127.0.0.1:3000", tls: { ${tls} } } ] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: prod }
spec: { mtls: { mode: DISABLE } }
`
const gateway = (tls: string): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: prod }
spec: { selector: { app: edge }, servers: [ { port: { number: 9443, protocol: HTTPS, name: https }, hosts: [ "*" ], tls: { ${tls} } } ] }
`

const MUTUAL = 'mode: MUTUAL, serverCertificate: /etc/certs/server.pem, privateKey: /etc/certs/key.pem, caCertificates: /etc/certs/root.pem'
const SETTINGS = ['caCrl: /etc/certs/revoked.crl', `verifyCertificateSpki: [ ${'A'.repeat(43)}= ]`, `verifyCertificateHash: [ ${'0a'.repeat(32)} ]`, 'minProtocolVersion: TLSV1_3', 'maxProtocolVersion: TLSV1_2', 'cipherSuites: [ ECDHE-ECDSA-AES256-GCM-SHA384 ]']

for (const setting of SETTINGS) {
  test(`a Sidecar’s ingress serves TLS as a Gateway does, with ${setting.slice(0, setting.indexOf(':'))}`, () => {
    const served = handshakes(ingress(`${MUTUAL}, ${setting}`), SIDECAR)
    assert.equal(served.length, 1)
    assert.deepEqual(served, handshakes(gateway(`${MUTUAL}, ${setting}`), ROUTER))
    assert.notDeepEqual(served, handshakes(ingress(MUTUAL), SIDECAR))
  })
}

const params = (served: readonly unknown[]): unknown[] => served.map((one) => (one as NonNullable<NonNullable<Secured['filter_chains']>[number]['transport_socket']>['typed_config']).common_tls_context.tls_params)

const meshConfig = (meshMtls: string): string => `
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: { name: default }
spec: { meshMTLS: { ${meshMtls} } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: prod }
spec: { mtls: { mode: MODE } }
`

for (const setting of ['minProtocolVersion: TLSV1_3', 'cipherSuites: [ ECDHE-ECDSA-AES256-GCM-SHA384 ]']) {
  test(`handshakes within the mesh are held to its ${setting.slice(0, setting.indexOf(':'))}, as a Gateway’s to a server’s own`, () => {
    const [theirs] = params(handshakes(gateway(`${MUTUAL}, ${setting}`), ROUTER))
    assert.ok(theirs)
    for (const mode of ['STRICT', 'PERMISSIVE']) {
      for (const proxy of [SIDECAR, EXPLICIT]) {
        const ours = params(handshakes(meshConfig(setting).replace('MODE', mode), proxy))
        assert.ok(ours.length > 0)
        for (const one of ours) assert.deepEqual(one, theirs)
        assert.notDeepEqual(params(handshakes(meshConfig('').replace('MODE', mode), proxy)), ours)
      }
    }
  })
}
