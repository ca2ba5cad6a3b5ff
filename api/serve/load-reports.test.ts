import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt'
import { Client, credentials, status, type StatusObject } from '@grpc/grpc-js'
import { systemDoors } from '#core/time/system.ts'
import { LoadReportingService, LoadStatsRequestSchema, type LoadStatsResponse } from '#core/wire/gen/envoy/service/load_stats/v3/lrs_pb.ts'
import { defineTypedMethod, methodsOf } from '#core/wire/grpc.ts'
import { type ClusterLoad, loadReporting } from './load-reports.ts'
import { MemoryView } from './memory-view.ts'
import type { Peer } from './peer.ts'
import { nodeNamed } from './raw-client.ts'
import { startXds } from './server.ts'

const identity = { trustDomain: 'cluster.local', namespace: 'prod', serviceAccount: 'a' }
const peer: Peer = { organizationId: 'o', meshId: 'm', identity, how: 'plaintext-loopback', expiresAtMs: Date.UTC(2100, 0) }
const method = defineTypedMethod(methodsOf(LoadReportingService).streamLoadStats, (bytes): Buffer => Buffer.from(bytes))

test('rule 30: a caller is asked for all clusters at the interval, and each report is handed on once, to the endpoint', async (t) => {
  const reports: [string, readonly ClusterLoad[]][] = []
  let heard = (): void => {}
  const serve = { authenticate: () => Promise.resolve(peer), viewFor: () => Promise.resolve(new MemoryView()), connected() {}, disconnected() {} }
  const loads = loadReporting(
    {
      clock: systemDoors.clock,
      serve,
      onLoad(_peer, node, stats) {
        reports.push([node.name, stats])
        heard()
      },
    },
    500,
  )
  const server = await startXds({ ...systemDoors, serve }, { plaintext: { address: '127.0.0.1', port: 0 }, services: [loads] })
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure())
  t.after(async () => {
    client.close()
    await server.close(50)
  })
  const open = () => {
    const call = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize)
    call.on('error', () => {
      // Told by the status as well.
    })
    return call
  }
  const call = open()
  const asked = new Promise<LoadStatsResponse>((resolve) => call.once('data', resolve))
  call.write(create(LoadStatsRequestSchema, { node: nodeNamed('sidecar~127.0.0.1~a.prod~prod.svc.cluster.local') }))
  const ask = await asked
  assert.deepEqual([ask.sendAllClusters, ask.reportEndpointGranularity, ask.loadReportingInterval && durationMs(ask.loadReportingInterval)], [true, true, 500])
  const endpoint = {
    address: { address: { case: 'socketAddress' as const, value: { address: '10.0.0.1', portSpecifier: { case: 'portValue' as const, value: 8080 } } } },
    totalSuccessfulRequests: 7n,
    totalErrorRequests: 1n,
    loadMetricStats: [{ metricName: 'weft.latency_ms', numRequestsFinishedWithMetric: 8n, totalMetricValue: 20.5 }],
  }
  const report = new Promise<void>((resolve) => (heard = resolve))
  call.write(
    create(LoadStatsRequestSchema, {
      clusterStats: [
        {
          clusterName: 'outbound|80||a',
          loadReportInterval: durationFromMs(501),
          upstreamLocalityStats: [{ locality: { region: 'eu', zone: 'eu-1' }, totalSuccessfulRequests: 7n, totalErrorRequests: 1n, totalIssuedRequests: 9n, totalRequestsInProgress: 1n, upstreamEndpointStats: [endpoint] }],
        },
      ],
    }),
  )
  await report
  const metrics = new Map([['weft.latency_ms', { requests: 8, sum: 20.5 }]])
  assert.deepEqual(reports, [
    [
      'a',
      [
        {
          cluster: 'outbound|80||a',
          spanMs: 501,
          dropped: 0,
          localities: [
            { locality: 'eu/eu-1', priority: 0, succeeded: 7, failed: 1, inProgress: 1, issued: 9, metrics: new Map(), endpoints: [{ endpoint: '10.0.0.1:8080', succeeded: 7, failed: 1, inProgress: 0, issued: 0, metrics }] },
          ],
        },
      ],
    ],
  ])
  call.end()
  const stranger = open()
  const ended = new Promise<StatusObject>((resolve) => stranger.once('status', resolve))
  stranger.resume()
  stranger.write(create(LoadStatsRequestSchema, { node: nodeNamed('sidecar~127.0.0.1~a.other~other.svc.cluster.local') }))
  assert.equal((await ended).code, status.PERMISSION_DENIED)
})
