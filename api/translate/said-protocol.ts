import type { JsonObject } from '@bufbuild/protobuf'
import { ConfigSchema } from '#core/wire/gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts'
import type { HttpFilterInit } from './http-connection.ts'
import { anyOf } from './message.ts'

/**
 * A callee whose port may carry anything learns from ALPN what mTLS has inside. A cluster's transport socket can offer one list for all that the cluster carries, so it says `istio`, which is true of bytes;
 * for requests a filter of HTTP offers another instead, as Istio's `istio.alpn` does. A stock Envoy has that filter not, and does the same by a filter state that its TLS goes by
 * (envoyproxy.io/docs/envoy/latest/configuration/advanced/well_known_filter_state, `envoy.network.application_protocols`); connections with one list are never used for another.
 */
const HTTP1 = 'istio-http/1.1,istio,http/1.1'
const HTTP2 = 'istio-h2,istio,h2'

/** What a cluster says in its metadata `weft`: what is offered for a request, by the protocol that it came in. */
export const offeredFor = (upstream: 'http1' | 'http2' | 'as-downstream'): JsonObject => ({
  'HTTP/1.1': upstream === 'http2' ? HTTP2 : HTTP1,
  'HTTP/2': upstream === 'http1' ? HTTP1 : HTTP2,
})

/** Offers what the request's cluster says; of a cluster that says nothing, what its transport socket offers. Where the route may still change, it stands after what changes it. */
export const saidProtocolFilter = (): HttpFilterInit => ({
  name: 'weft.said_protocol',
  // Weft's own proxy says it by itself.
  isOptional: true,
  configType: {
    case: 'typedConfig',
    value: anyOf(ConfigSchema, {
      onRequestHeaders: [
        {
          key: { case: 'objectKey', value: 'envoy.network.application_protocols' },
          value: { case: 'formatString', value: { omitEmptyValues: true, format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: '%CEL(xds.cluster_metadata.filter_metadata["weft"]["alpn"][request.protocol])%' } } } } },
          skipIfEmpty: true,
        },
      ],
    }),
  },
})
