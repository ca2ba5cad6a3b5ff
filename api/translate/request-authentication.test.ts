import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listed, meshOf, nodeFrom, objectsIn, readable } from './testing/mesh-case.ts'

/** How long a proxy lets an issuer take to hand out its keys, wherever it asks. */
function timesToAsk(timeout: string): string[] {
  const { views } = meshOf(
    objectsIn(`
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: prod }
spec: { jwtRules: [ { issuer: https://one.example.com, jwksUri: "https://one.example.com/keys.json"${timeout} } ] }
`),
    [],
  )
  const view = views.viewFor(nodeFrom({ name: 'server-1', namespace: 'prod', address: '10.0.0.1', ports: [{ port: 8080 }] }), undefined)
  try {
    return (listed(view)['listeners'] ?? []).flatMap((one) => [...JSON.stringify(readable(one)).matchAll(/"http_uri":\{[^}]*"timeout":"([^"]*)"/g)].map((found) => found[1] ?? ''))
  } finally {
    view.release()
  }
}

test('an issuer has five seconds to hand out its keys, or what its rule says', () => {
  assert.deepEqual([...new Set(timesToAsk(''))], ['5s'])
  assert.deepEqual([...new Set(timesToAsk(', timeout: 1.5s'))], ['1.500s'])
})
