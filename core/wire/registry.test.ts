import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { packAny, unpackAny } from './any.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouterSchema } from './gen/envoy/extensions/filters/http/router/v3/router_pb.ts'
import { HttpConnectionManagerSchema } from './gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { messageFromJson, messageToJson, wireRegistry } from './registry.ts'
import { isTypeUrl, typeUrlOf, typeUrls } from './type-url.ts'

const router = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'

const listener = () =>
  create(ListenerSchema, {
    name: 'inbound',
    filterChains: [
      {
        filters: [
          {
            name: 'hcm',
            configType: {
              case: 'typedConfig',
              value: packAny(
                HttpConnectionManagerSchema,
                create(HttpConnectionManagerSchema, {
                  statPrefix: 'in',
                  httpFilters: [{ name: 'router', configType: { case: 'typedConfig', value: packAny(RouterSchema, create(RouterSchema, { suppressEnvoyHeaders: true })) } }],
                }),
              ),
            },
          },
        ],
      },
    ],
  })

test('an Any inside an Any is readable JSON, with the names of the .proto files', () => {
  assert.deepEqual(messageToJson(ListenerSchema, listener(), 'proto'), {
    name: 'inbound',
    filter_chains: [
      {
        filters: [
          {
            name: 'hcm',
            typed_config: {
              '@type': typeUrlOf(HttpConnectionManagerSchema),
              stat_prefix: 'in',
              http_filters: [{ name: 'router', typed_config: { '@type': router, suppress_envoy_headers: true } }],
            },
          },
        ],
      },
    ],
  })
})

test('JSON in either case gives the same message back', () => {
  for (const names of ['proto', 'camel'] as const) {
    assert.deepEqual(messageFromJson(ListenerSchema, messageToJson(ListenerSchema, listener(), names)), listener())
  }
})

test('a field that does not exist is named in the error', () => {
  assert.throws(() => messageFromJson(ListenerSchema, { filterChain: [] }), /filterChain/)
})

test('every type that discovery carries is in the registry under its type URL', () => {
  for (const url of typeUrls) {
    const schema = wireRegistry().getMessage(url.slice(url.indexOf('/') + 1))
    assert.ok(schema, url)
    assert.equal(typeUrlOf(schema), url)
    assert.ok(isTypeUrl(url))
  }
  assert.equal(isTypeUrl(router), false)
  assert.equal(unpackAny(packAny(RouterSchema, create(RouterSchema)), RouterSchema)?.suppressEnvoyHeaders, false)
})
