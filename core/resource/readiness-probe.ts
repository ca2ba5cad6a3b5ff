import { z } from 'zod'
import { int32, judged, text } from './field.ts'
import type { Complaint } from './field.ts'

const seconds = (what: string) => int32().optional().describe(what)
const probePort = z.int().describe('The port, 1..65535.')

/** Istio's ReadinessProbe, in the manner of Kubernetes: one of four ways to ask, and when. */
export const readinessProbe = z
  .strictObject({
    initialDelaySeconds: seconds('Seconds from the moment when the proxy is ready to the first probe; 0 by default.'),
    timeoutSeconds: seconds('Seconds after which a probe counts as failed; 1 by default.'),
    periodSeconds: seconds('Seconds between probes; 10 by default.'),
    successThreshold: seconds('Probes that must succeed in a row after a failure; 1 by default.'),
    failureThreshold: seconds('Probes that must fail in a row before the workload counts as not ready; 3 by default.'),
    httpGet: z
      .strictObject({
        path: text().optional().describe('The path; / by default.'),
        port: probePort,
        host: text().optional().describe('The host to connect to; by default where the application listens on the port.'),
        scheme: text().optional().describe('HTTP (the default) or HTTPS.'),
        httpHeaders: z
          .array(z.strictObject({ name: z.string().regex(/^[-_A-Za-z0-9]+$/, 'letters, digits, - and _').describe('Name.'), value: text().optional().describe('Value.') }))
          .optional()
          .describe('Headers that are sent.'),
      })
      .optional()
      .describe('Ready when the answer is 200..399.'),
    tcpSocket: z.strictObject({ host: text().optional().describe('The host; by default where the application listens on the port.'), port: probePort }).optional().describe('Ready when a connection is accepted.'),
    exec: z.strictObject({ command: z.array(z.string().min(1)).optional().describe('The command and its arguments; no shell. WEFT_EXEC_PROBES=false forbids it on a machine.') }).optional().describe('Ready when the command ends with 0.'),
    grpc: z.strictObject({ port: probePort.optional(), service: text().optional().describe('The service that is asked for.') }).optional().describe('Ready when gRPC’s health service says so.'),
  })
  .superRefine(judged(probeComplaints))

const WAYS = ['httpGet', 'tcpSocket', 'exec', 'grpc'] as const
const COUNTS = ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const

interface Parts {
  initialDelaySeconds?: number | undefined
  timeoutSeconds?: number | undefined
  periodSeconds?: number | undefined
  successThreshold?: number | undefined
  failureThreshold?: number | undefined
  httpGet?: { port: number; scheme?: string | undefined } | undefined
  tcpSocket?: { port: number } | undefined
  exec?: { command?: string[] | undefined } | undefined
  grpc?: { port?: number | undefined } | undefined
}

function* probeComplaints(probe: Parts): Iterable<Complaint> {
  const given = WAYS.filter((way) => probe[way] !== undefined)
  if (given.length === 0) yield { code: 'object.field-required', rule: `one of ${WAYS.join(', ')}` }
  if (given.length > 1) yield { at: [given[1] ?? ''], code: 'object.field-conflict', rule: `only one of ${WAYS.join(', ')} may be set` }
  for (const field of COUNTS) if ((probe[field] ?? 0) < 0) yield { at: [field], value: probe[field], rule: '0 or more' }
  for (const way of ['httpGet', 'tcpSocket', 'grpc'] as const) {
    const one = probe[way]
    if (one !== undefined && ((one.port ?? 0) < 1 || (one.port ?? 0) > 65535)) yield { at: [way, 'port'], value: one.port, rule: '1..65535' }
  }
  const scheme = probe.httpGet?.scheme
  if (scheme && scheme !== 'HTTP' && scheme !== 'HTTPS') yield { at: ['httpGet', 'scheme'], value: scheme, rule: 'HTTP or HTTPS' }
  if (probe.exec !== undefined && !probe.exec.command?.length) yield { at: ['exec', 'command'], code: 'object.field-required', rule: 'a command' }
}
