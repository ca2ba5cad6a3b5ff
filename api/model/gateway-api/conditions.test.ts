import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatewayApiStatusOf } from '#api/observe/gateway-api-status.ts'
import { meshOf, objectsIn, workloadFrom } from '#api/translate/testing/mesh-case.ts'

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
}
interface Told {
  readonly conditions?: readonly Condition[]
  readonly listeners?: readonly { readonly name: string; readonly attachedRoutes: number; readonly conditions: readonly Condition[]; readonly supportedKinds: readonly { readonly kind: string }[] }[]
  readonly parents?: readonly { readonly conditions: readonly Condition[] }[]
}

/** What is told of the object of a name among these. */
function told(yaml: string, name: string): Told {
  const objects = objectsIn(yaml)
  const object = objects.find((one) => one.metadata.name === name)
  assert.ok(object !== undefined)
  return gatewayApiStatusOf(meshOf(objects, []).model, object) as Told
}

const words = (list: readonly Condition[] = []): Record<string, string> => Object.fromEntries(list.map((one) => [one.type, `${one.status} ${one.reason}`]))
const listenersOf = (of: Told): Record<string, Record<string, string>> => Object.fromEntries((of.listeners ?? []).map((one) => [one.name, words(one.conditions)]))

/** A document of its own, behind others. `holds`: its `data` or `stringData`. */
const secret = (name: string, namespace: string, holds: string): string => `---
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: ${namespace} }
${holds}
`
const PAIR = 'stringData: { tls.crt: "-----BEGIN CERTIFICATE-----", tls.key: "-----BEGIN CERTIFICATE-----" }'
const NO_KEY = 'stringData: { tls.crt: "-----BEGIN CERTIFICATE-----" }'
const NO_PEM = 'data: { tls.crt: SGVsbG8gd29ybGQK, tls.key: SGVsbG8gd29ybGQK }'

/** A Gateway `edge` of these listeners, with what they may name: a Secret `cert` and a ConfigMap `roots`. */
const gateway = (listeners: string, more = ''): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: infra }
spec: { gatewayClassName: istio, ${more} listeners: [ ${listeners} ] }
${secret('cert', 'infra', PAIR)}---
apiVersion: v1
kind: ConfigMap
metadata: { name: roots, namespace: infra }
data: { ca.crt: "-----BEGIN CERTIFICATE-----" }
`
const http = '{ name: http, port: 80, protocol: HTTP }'
const https = (name: string, host: string, port = 443): string => `{ name: ${name}, port: ${port}, protocol: HTTPS, ${host === '' ? '' : `hostname: "${host}", `}tls: { certificateRefs: [ { name: cert } ] } }`
const passing = (name: string, host: string, port = 443): string => `{ name: ${name}, port: ${port}, protocol: TLS, ${host === '' ? '' : `hostname: "${host}", `}tls: { mode: Passthrough } }`

test('of listeners that cannot be told apart none is served, and the Gateway tells that not all are valid', () => {
  const of = told(gateway([http, https('ends', '', 8443), passing('passes', '', 8443), '{ name: bytes, port: 9000, protocol: TCP }', '{ name: requests, port: 9000, protocol: HTTP }'].join(', ')), 'edge')
  const conflicted = { Accepted: 'False Invalid', Conflicted: 'True ProtocolConflict', Programmed: 'False Invalid', ResolvedRefs: 'True ResolvedRefs' }
  const good = { Accepted: 'True Accepted', Conflicted: 'False NoConflicts', Programmed: 'True Programmed', ResolvedRefs: 'True ResolvedRefs' }
  assert.deepEqual(listenersOf(of), { http: good, ends: conflicted, passes: conflicted, bytes: conflicted, requests: conflicted })
  assert.equal(words(of.conditions)['Accepted'], 'True ListenersNotValid')
  assert.equal(words(told(gateway([https('ends', ''), passing('passes', '')].join(', ')), 'edge').conditions)['Accepted'], 'False ListenersNotValid')
})

test('listeners that differ by name share a port, whatever becomes of their TLS', () => {
  const of = told(gateway([https('ends', '*.example.com'), passing('passes', 'abc.example.com')].join(', ')), 'edge')
  assert.deepEqual((of.listeners ?? []).map((one) => words(one.conditions)['Accepted']), ['True Accepted', 'True Accepted'])
})

test('listeners of a port whose names overlap tell so, and no others', () => {
  const of = told(gateway([https('foo', 'foo.example.com'), https('bar', 'bar.bar.example.com'), https('wild', '*.example.com'), https('apart', 'example.com'), https('elsewhere', 'foo.example.com', 9443)].join(', ')), 'edge')
  assert.deepEqual(
    Object.entries(listenersOf(of)).map(([name, one]) => [name, one['OverlappingTLSConfig']]),
    [['foo', 'True OverlappingHostnames'], ['bar', 'True OverlappingHostnames'], ['wild', 'True OverlappingHostnames'], ['apart', undefined], ['elsewhere', undefined]],
  )
})

test('a Gateway tells that clients of some port may leave out their certificates', () => {
  const validation = (mode: string): string => `validation: { mode: ${mode}, caCertificateRefs: [ { group: "", kind: ConfigMap, name: roots } ] }`
  const insecure = (tls: string): string | undefined => words(told(gateway(https('ends', ''), `tls: { frontend: { ${tls} } },`), 'edge').conditions)['InsecureFrontendValidationMode']
  assert.equal(insecure(`default: { ${validation('AllowValidOnly')} }`), undefined)
  assert.equal(insecure(`default: { ${validation('AllowInsecureFallback')} }`), 'True ConfigurationChanged')
  assert.equal(insecure(`default: {}, perPort: [ { port: 443, tls: { ${validation('AllowInsecureFallback')} } } ]`), 'True ConfigurationChanged')
})

test('a Gateway tells why the certificate that it is to show to backends cannot be had', () => {
  const others = `${secret('bad', 'infra', NO_KEY)}${secret('text', 'infra', NO_PEM)}${secret('far', 'vault', PAIR)}---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: far, namespace: vault }
spec: { from: [ { group: gateway.networking.k8s.io, kind: Gateway, namespace: FROM } ], to: [ { group: "", kind: Secret } ] }
`
  const resolved = (reference: string, granted = true): string | undefined => {
    const { conditions } = told(gateway(http, `tls: { backend: { clientCertificateRef: { ${reference} } } },`) + others.replace('FROM', granted ? 'infra' : 'elsewhere'), 'edge')
    assert.equal(words(conditions)['Accepted'], 'True Accepted')
    return words(conditions)['ResolvedRefs']
  }
  assert.equal(resolved('name: cert'), 'True ResolvedRefs')
  assert.equal(resolved('name: nothing'), 'False InvalidClientCertificateRef')
  assert.equal(resolved('group: example.com, kind: Secret, name: cert'), 'False InvalidClientCertificateRef')
  assert.equal(resolved('kind: ConfigMap, name: roots'), 'False InvalidClientCertificateRef')
  assert.equal(resolved('name: bad'), 'False InvalidClientCertificateRef')
  assert.equal(resolved('name: text'), 'False InvalidClientCertificateRef')
  assert.equal(resolved('name: far, namespace: vault'), 'True ResolvedRefs')
  assert.equal(resolved('name: far, namespace: vault', false), 'False RefNotPermitted')
  assert.equal(resolved('name: nothing, namespace: vault', false), 'False RefNotPermitted')
})

test('a listener tells why its certificate cannot be had, and the others of its Gateway are served', () => {
  const resolved = (reference: string): (string | undefined)[] => {
    const of = told(gateway([http, https('https', '').replace('name: cert', reference)].join(', ')) + secret('text', 'infra', NO_PEM), 'edge')
    const listeners = listenersOf(of)
    assert.deepEqual([words(of.conditions)['Accepted'], listeners['http']?.['Programmed']], ['True ListenersNotValid', 'True Programmed'])
    return [listeners['https']?.['ResolvedRefs'], listeners['https']?.['Programmed']]
  }
  for (const reference of ['name: nothing', 'group: wrong.group.example, kind: Secret, name: cert', 'kind: WrongKind, name: cert', 'name: text']) assert.deepEqual(resolved(reference), ['False InvalidCertificateRef', 'False Invalid'], reference)
  assert.deepEqual(resolved('name: cert, namespace: elsewhere'), ['False RefNotPermitted', 'False Invalid'])
})

test('parameters of a Gateway’s infrastructure that are not there, or of a kind that none are of, are told', () => {
  const accepted = (reference: string): string | undefined => words(told(gateway(http, `infrastructure: { parametersRef: { ${reference} } },`), 'edge').conditions)['Accepted']
  assert.equal(accepted('group: "", kind: ConfigMap, name: roots'), 'True Accepted')
  assert.equal(accepted('group: "", kind: ConfigMap, name: nothing'), 'False InvalidParameters')
  assert.equal(accepted('group: example.com, kind: Settings, name: roots'), 'False InvalidParameters')
})

test('an address without a value asks for whichever there is', () => {
  const programmed = (addresses: string): string | undefined => {
    const objects = objectsIn(gateway(http, `addresses: [ ${addresses} ],`))
    const [edge] = objects
    assert.ok(edge !== undefined)
    const process = workloadFrom({ name: 'edge-1', namespace: 'infra', labels: { 'gateway.networking.k8s.io/gateway-name': 'edge' }, address: '10.0.0.1', ports: [] })
    return words((gatewayApiStatusOf(meshOf(objects, [process]).model, edge) as Told).conditions)['Programmed']
  }
  assert.equal(programmed('{ type: Hostname }'), 'True Programmed')
  assert.equal(programmed('{ type: IPAddress }'), 'True Programmed')
  assert.equal(programmed('{ type: Hostname, value: nothing }'), 'False AddressNotUsable')
})

test('conditions of types that others tell of a Gateway and its listeners stay, and what was told before does not', () => {
  const objects = objectsIn(gateway(http))
  const [edge] = objects
  assert.ok(edge !== undefined)
  const foreign = { type: 'example.com/Checked', status: 'True', reason: 'Seeded', lastTransitionTime: '2026-01-01T00:00:00Z' }
  const old = { type: 'InsecureFrontendValidationMode', status: 'True', reason: 'ConfigurationChanged' }
  const { model } = meshOf(objects, [])
  const of = gatewayApiStatusOf(model, { ...edge, status: { conditions: [{ ...old, type: 'Accepted', reason: 'Pending' }, foreign, old], listeners: [{ name: 'http', conditions: [foreign] }, { name: 'gone', conditions: [foreign] }] } }) as Told
  assert.deepEqual(of.conditions?.map((one) => one.type), ['Accepted', 'Programmed', 'ResolvedRefs', 'example.com/Checked'])
  assert.deepEqual(of.conditions.at(-1), foreign)
  assert.deepEqual(of.listeners?.map((one) => one.conditions.at(-1)), [foreign])
})
