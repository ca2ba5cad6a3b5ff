import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { HttpPlan } from '#core/plan/http.ts'
import type { ListenerPlan, ServerTlsPlan } from '#core/plan/listener.ts'
import { installH2spec } from '#infra/parts/h2spec.ts'
import { createAuthority } from '../../testing/authority.ts'
import { secretsOf } from '../../testing/pair.ts'
import { httpServer, startProxy } from '../../testing/peers.ts'
import { chainPlan, forward, httpPlan, listenerPlan, routePlan, tablePlan } from '../../testing/plan.ts'

/** What a client may meet: a gateway and a sidecar, over TLS and with prior knowledge in plaintext. */
const serverTls: ServerTlsPlan = { certificates: ['default'], trust: undefined, requireClientCertificate: false, allowedSans: [], alpn: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }

for (const direction of ['gateway', 'inbound'] as const) {
  for (const secure of [true, false]) {
    test(`h2spec passes whole, ${direction} ${secure ? 'over TLS' : 'in plaintext'}`, async (t) => {
      const h2spec = await installH2spec()
      const upstream = await httpServer(t, (request, response) => {
        request.resume()
        request.on('end', () => response.end('a body that is longer than the windows that are tried'))
      })
      // In plaintext a listener that guesses takes what is no preface for HTTP/1.1; one for HTTP/2 alone does not.
      const over: Partial<HttpPlan> = secure ? {} : { codec: 'http2' }
      const chain = chainPlan(httpPlan(tablePlan([routePlan('/', forward('up'))]), over), secure ? { tls: serverTls } : {})
      const listener: ListenerPlan = listenerPlan('main', [chain], { direction, inspectsTls: secure })
      const proxy = await startProxy(t, { listener, clusters: [['up', [upstream.port]]], secrets: secretsOf(createAuthority(), 'edge') })
      const { stdout } = await promisify(execFile)(h2spec, ['-h', '127.0.0.1', '-p', String(proxy.port), '-o', '3', ...(secure ? ['-t', '-k'] : [])]).catch((error: { stdout?: string; message: string }) => ({ stdout: error.stdout ?? error.message }))
      assert.match(stdout, /\n14[56] tests, 14[56] passed, 0 skipped, 0 failed/, stdout.slice(stdout.indexOf('Failures')))
    })
  }
}
