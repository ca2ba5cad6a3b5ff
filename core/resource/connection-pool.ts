import { z } from 'zod'
import { duration, durationOrZero, flag, int32, judged, uint32 } from './field.ts'
import type { Complaint } from './field.ts'

export const tcpKeepalive = z.strictObject({
  probes: uint32().optional().describe('Unanswered probes before the connection counts as dead.'),
  time: duration().optional().describe('Idle time before the first probe.'),
  interval: duration().optional().describe('Time between probes.'),
})

const tcpSettings = z
  .strictObject({
    maxConnections: int32().optional().describe('Connections to the host, at most.'),
    connectTimeout: duration().optional().describe('The bound of a connection attempt; 10s by default.'),
    tcpKeepalive: tcpKeepalive.optional().describe('TCP keepalive (SO_KEEPALIVE).'),
    maxConnectionDuration: duration().optional().describe('Longest life of a connection.'),
    idleTimeout: durationOrZero().optional().describe('Idle time after which a connection is closed; 0s: never.'),
  })
  .superRefine(judged((value) => negative(value, ['maxConnections'])))

const httpSettings = z
  .strictObject({
    http1MaxPendingRequests: int32().optional().describe('Requests that may wait for a connection.'),
    http2MaxRequests: int32().optional().describe('Requests at a time, at most.'),
    maxRequestsPerConnection: int32().optional().describe('Requests on one connection; 1 switches keepalive off, 0 is no bound.'),
    maxRetries: int32().optional().describe('Retries at a time, at most.'),
    idleTimeout: duration().optional().describe('Idle time after which an upstream connection is closed; 1h by default.'),
    h2UpgradePolicy: z.enum(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']).optional().describe('Whether HTTP/1.1 is carried on over HTTP/2.'),
    useClientProtocol: flag().optional().describe('Keeps the protocol of the client.'),
    maxConcurrentStreams: int32().optional().describe('Streams at a time on one HTTP/2 connection.'),
    http2KeepAlive: z
      .strictObject({
        interval: duration().optional().describe('Time between PING frames.'),
        timeout: duration().optional().describe('How long an answer may take.'),
      })
      .superRefine(
        judged(function* (value): Iterable<Complaint> {
          for (const field of ['interval', 'timeout'] as const) if (value[field] === undefined) yield { at: [field], code: 'object.field-required', rule: 'both interval and timeout' }
        }),
      )
      .optional()
      .describe('HTTP/2 PING frames on idle connections.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      yield* negative(value, ['http1MaxPendingRequests', 'http2MaxRequests', 'maxRequestsPerConnection', 'maxRetries', 'maxConcurrentStreams'])
      if (value.h2UpgradePolicy === 'UPGRADE' && value.useClientProtocol === true) yield { at: ['useClientProtocol'], code: 'object.field-conflict', rule: 'not true where h2UpgradePolicy is UPGRADE' }
    }),
  )

export const connectionPool = z
  .strictObject({
    tcp: tcpSettings.optional().describe('For TCP, and for the connections below HTTP.'),
    http: httpSettings.optional().describe('For HTTP.'),
  })
  .superRefine(
    judged(function* (value): Iterable<Complaint> {
      if (value.tcp === undefined && value.http === undefined) yield { code: 'object.field-required', rule: 'tcp, http, or both' }
    }),
  )
export type ConnectionPool = z.infer<typeof connectionPool>

function* negative<Name extends string>(value: { [Key in Name]?: number | undefined }, names: readonly Name[]): Iterable<Complaint> {
  for (const name of names) if ((value[name] ?? 0) < 0) yield { at: [name], value: value[name], rule: '0 or more' }
}
