import { create, toBinary } from '@bufbuild/protobuf'
import { ExportTraceServiceRequestSchema } from '#core/wire/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.ts'
import { Span_SpanKind, Status_StatusCode } from '#core/wire/gen/opentelemetry/proto/trace/v1/trace_pb.ts'
import type { FinishedSpan } from './span.ts'

type ByService = ReadonlyMap<string, readonly FinishedSpan[]>

const attribute = (key: string, value: string | number) => ({ key, value: { value: typeof value === 'string' ? { case: 'stringValue' as const, value } : { case: 'intValue' as const, value: BigInt(Math.round(value)) } } })
const nanoseconds = (ms: number): bigint => BigInt(Math.round(ms * 1000)) * 1000n

/** An ExportTraceServiceRequest (opentelemetry.io/docs/specs/otlp). */
export function otlpRequest(spans: ByService): Uint8Array {
  const message = create(ExportTraceServiceRequestSchema, {
    resourceSpans: [...spans].map(([service, list]) => ({
      resource: { attributes: [attribute('service.name', service)] },
      // Today's `scope_spans` by an older name: the same field and the same message on the wire.
      instrumentationLibrarySpans: [
        {
          instrumentationLibrary: { name: 'weft' },
          spans: list.map((span) => ({
            traceId: Buffer.from(span.traceId, 'hex'),
            spanId: Buffer.from(span.spanId, 'hex'),
            parentSpanId: Buffer.from(span.parentId, 'hex'),
            traceState: span.traceState,
            name: span.name,
            kind: span.kind === 'server' ? Span_SpanKind.SERVER : Span_SpanKind.CLIENT,
            startTimeUnixNano: nanoseconds(span.startWallMs),
            endTimeUnixNano: nanoseconds(span.endWallMs),
            attributes: Object.entries(span.attributes).map(([key, value]) => attribute(key, value)),
            status: { code: span.failed ? Status_StatusCode.ERROR : Status_StatusCode.UNSET },
          })),
        },
      ],
    })),
  })
  return toBinary(ExportTraceServiceRequestSchema, message)
}

/** A list of spans (zipkin.io/zipkin-api, v2). */
export function zipkinRequest(spans: ByService): Uint8Array {
  const list = [...spans].flatMap(([service, of]) =>
    of.map((span) => ({
      traceId: span.traceId,
      id: span.spanId,
      ...(span.parentId === '' ? {} : { parentId: span.parentId }),
      name: span.name,
      kind: span.kind.toUpperCase(),
      timestamp: Math.round(span.startWallMs * 1000),
      duration: Math.max(1, Math.round((span.endWallMs - span.startWallMs) * 1000)),
      localEndpoint: { serviceName: service },
      tags: { ...Object.fromEntries(Object.entries(span.attributes).map(([key, value]) => [key, String(value)])), ...(span.failed ? { error: 'true' } : {}) },
    })),
  )
  return Buffer.from(JSON.stringify(list))
}
