import { create } from '@bufbuild/protobuf'
import type { DescMessage, JsonObject, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { DurationSchema } from '@bufbuild/protobuf/wkt'
import type { Any, Duration } from '@bufbuild/protobuf/wkt'
import { durationMs } from '#core/resource/duration.ts'
import { packAny } from '#core/wire/any.ts'
import { AddressSchema, SocketAddress_Protocol } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import type { Address } from '#core/wire/gen/envoy/config/core/v3/address_pb.ts'
import { HeaderValueOption_HeaderAppendAction, HeaderValueOptionSchema, MetadataSchema, RuntimeFractionalPercentSchema } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import type { HeaderValueOption, Metadata, RuntimeFractionalPercent } from '#core/wire/gen/envoy/config/core/v3/base_pb.ts'
import { ApiVersion, ConfigSourceSchema } from '#core/wire/gen/envoy/config/core/v3/config_source_pb.ts'
import type { ConfigSource } from '#core/wire/gen/envoy/config/core/v3/config_source_pb.ts'
import type { ListenerSchema } from '#core/wire/gen/envoy/config/listener/v3/listener_pb.ts'
import { StringMatcherSchema } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import type { StringMatcher } from '#core/wire/gen/envoy/type/matcher/v3/string_pb.ts'
import { FractionalPercent_DenominatorType, FractionalPercentSchema } from '#core/wire/gen/envoy/type/v3/percent_pb.ts'
import type { FractionalPercent } from '#core/wire/gen/envoy/type/v3/percent_pb.ts'

/** google.protobuf.Duration from milliseconds, which may be fractional. */
export function duration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000)
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) })
}

/** From a duration as configuration writes it, `10s`. */
export const durationOf = (text: string): Duration => duration(durationMs(text))

/** A message made and wrapped. */
export const anyOf = <Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Any => packAny(schema, create(schema, init) as MessageShape<Desc>)

/** Delivered on the stream that delivered what refers to it. */
export const fromAds = (): ConfigSource =>
  create(ConfigSourceSchema, { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3, initialFetchTimeout: duration(0) })

export const socketAddress = (address: string, port: number): Address =>
  create(AddressSchema, { address: { case: 'socketAddress', value: { protocol: SocketAddress_Protocol.TCP, address, portSpecifier: { case: 'portValue', value: port } } } })

/** Where a listener is: at the first address, and at the others as well. */
export function addressesOf(addresses: readonly [string, ...string[]], port: number): Pick<ListenerInit, 'address' | 'additionalAddresses'> {
  const [first, ...others] = addresses
  return { address: socketAddress(first, port), ...(others.length === 0 ? {} : { additionalAddresses: others.map((one) => ({ address: socketAddress(one, port) })) }) }
}

type ListenerInit = Extract<MessageInitShape<typeof ListenerSchema>, { $typeName?: never }>

/** Where a piece of configuration comes from: the object and the field of it, for logs, explain and rejections. No revision: bytes must not change when nothing else does. */
export interface Origin {
  /** `VirtualService/prod/order-service` */
  readonly resource: string
  /** `http[0].route[1]` */
  readonly field: string
}

/** filter_metadata with our origin, and under `istio` what Istio writes there. Keys in the order in which they are encoded: what is in order is not copied for that. */
export function metadataOf(origin: Origin | undefined, istio?: JsonObject): Metadata {
  return create(MetadataSchema, {
    filterMetadata: {
      ...(istio === undefined ? {} : { istio }),
      ...(origin === undefined ? {} : { weft: { field: origin.field, resource: origin.resource } }),
    },
  })
}

/** A share in percent, to a ten-thousandth, as Istio rounds it. */
export const fraction = (percent: number): FractionalPercent =>
  create(FractionalPercentSchema, { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION })

export const runtimeFraction = (percent: number): RuntimeFractionalPercent => create(RuntimeFractionalPercentSchema, { defaultValue: fraction(percent) })

export function headerValue(key: string, value: string, how: 'set' | 'add'): HeaderValueOption {
  const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction
  return create(HeaderValueOptionSchema, { header: { key, value }, appendAction: how === 'set' ? OVERWRITE_IF_EXISTS_OR_ADD : APPEND_IF_EXISTS_OR_ADD })
}

export const exactly = (value: string, ignoreCase = false): StringMatcher => create(StringMatcherSchema, { matchPattern: { case: 'exact', value }, ignoreCase })
export const startingWith = (value: string, ignoreCase = false): StringMatcher => create(StringMatcherSchema, { matchPattern: { case: 'prefix', value }, ignoreCase })
export const endingWith = (value: string, ignoreCase = false): StringMatcher => create(StringMatcherSchema, { matchPattern: { case: 'suffix', value }, ignoreCase })
/** RE2, over the whole value. */
export const matchingRegex = (regex: string): StringMatcher => create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex } } })

/** A text as part of a regular expression. */
export const escapeRegex = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
