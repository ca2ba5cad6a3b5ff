import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listed, meshOf, nodeFrom, objectsIn, readable } from './testing/mesh-case.ts'

/** What is read of a cluster. */
interface Secured {
  readonly name: string
  readonly transport_socket: { readonly typed_config: { readonly common_tls_context: { readonly validation_context: { readonly trusted_ca: { readonly filename: string }; readonly match_typed_subject_alt_names: readonly { readonly matcher: { readonly exact: string } }[] } } } }
}

const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: prod }
spec: { gatewayClassName: istio, listeners: [ { name: http, port: 80, protocol: HTTP } ] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: prod }
spec: { parentRefs: [ { name: edge } ], rules: [ { backendRefs: [ BACKEND ] } ] }
`
const POLICY = `---
apiVersion: v1
kind: Service
metadata: { name: a, namespace: prod }
spec: { selector: { app: a }, ports: [ { name: http, port: 80 } ] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: a, namespace: prod }
spec: { targetRefs: [ { group: "", kind: Service, name: a } ], validation: { VALIDATION } }
`
const OUTSIDE = `---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: { name: a, namespace: prod }
spec: { type: ExternalHostname, externalHostname: { hostname: a.example.com }, port: { port: 80 }, tls: { mode: ServerOnly, validation: { VALIDATION } } }
`

/** By whose authorities, and by which names, a gateway verifies its only backend. */
function verified(yaml: string): unknown {
  const { views } = meshOf(objectsIn(yaml), [])
  const view = views.viewFor(nodeFrom({ type: 'router', name: 'edge-1', namespace: 'prod', labels: { 'gateway.networking.k8s.io/gateway-name': 'edge' }, address: '10.0.0.1' }), undefined)
  try {
    const clusters = (listed(view)['clusters'] ?? []).map((one) => readable(one) as Secured)
    const context = clusters.find((one) => one.name.startsWith('outbound|80||a.'))?.transport_socket.typed_config.common_tls_context.validation_context
    return { authorities: context?.trusted_ca.filename, names: context?.match_typed_subject_alt_names.map((one) => one.matcher.exact) }
  } finally {
    view.release()
  }
}

for (const [kind, backend, yaml] of [['BackendTLSPolicy', '{ name: a, port: 80 }', POLICY], ['XBackend', '{ group: gateway.networking.x-k8s.io, kind: XBackend, name: a }', OUTSIDE]] as const) {
  test(`a backend is verified by the authorities of the proxy’s host where its ${kind} says so, and by nobody’s where it names none`, () => {
    const of = (validation: string): unknown => verified((GATEWAY + yaml).replace('BACKEND', backend).replace('VALIDATION', validation))
    assert.deepEqual(of('hostname: a.example.com, wellKnownCACertificates: System'), { authorities: '/etc/ssl/certs/ca-certificates.crt', names: ['a.example.com'] })
    // No certificate bears such a name.
    assert.deepEqual(of('hostname: a.example.com'), { authorities: '/etc/ssl/certs/ca-certificates.crt', names: ['invalid://'] })
  })
}
