import type { JsonObject } from '@bufbuild/protobuf'
import type { Duration } from '@bufbuild/protobuf/wkt'
import type { Address, SocketAddress as WireSocketAddress } from '../wire/gen/envoy/config/core/v3/address_pb.ts'
import { AddressSchema, SocketAddress_Protocol, SocketAddressSchema } from '../wire/gen/envoy/config/core/v3/address_pb.ts'
import type { DataSource, RuntimeFractionalPercent } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { type FractionalPercent, FractionalPercent_DenominatorType } from '../wire/gen/envoy/type/v3/percent_pb.ts'
import type { SocketAddress } from '../workload/workload.ts'
import { at, type Reading } from './read.ts'

export function milliseconds(duration: Duration | undefined, absent: number): number {
  return duration === undefined ? absent : Number(duration.seconds) * 1000 + duration.nanos / 1e6
}

const DENOMINATORS: Readonly<Record<number, number>> = {
  [FractionalPercent_DenominatorType.HUNDRED]: 100,
  [FractionalPercent_DenominatorType.TEN_THOUSAND]: 10_000,
  [FractionalPercent_DenominatorType.MILLION]: 1_000_000,
}

/** Of 100. */
export function percentOf(fraction: FractionalPercent | undefined, absent: number): number {
  if (fraction === undefined) return absent
  return Math.min(100, (100 * fraction.numerator) / (DENOMINATORS[fraction.denominator] ?? 100))
}

/** There is no runtime layer, so the default value holds. */
export function runtimePercentOf(fraction: RuntimeFractionalPercent | undefined, absent: number): number {
  return fraction === undefined ? absent : percentOf(fraction.defaultValue, 100)
}

export function readSocketAddress(reading: Reading, path: string, address: Address | undefined): SocketAddress | undefined {
  if (address?.address.case !== 'socketAddress') {
    if (address === undefined) reading.invalid(path, 'is missing')
    else reading.only(path, AddressSchema, address, ['socket_address'])
    return undefined
  }
  return readSocket(reading, at(path, 'socket_address'), address.address.value)
}

function readSocket(reading: Reading, path: string, socket: WireSocketAddress): SocketAddress | undefined {
  reading.only(path, SocketAddressSchema, socket, ['protocol', 'address', 'port_value', 'ipv4_compat'])
  if (socket.protocol !== SocketAddress_Protocol.TCP) reading.unsupported(at(path, 'protocol'), 'only TCP is supported', socket.protocol)
  if (socket.portSpecifier.case !== 'portValue') return undefined
  const port = socket.portSpecifier.value
  if (port > 65535) reading.invalid(at(path, 'port_value'), 'is no port', port)
  if (socket.address === '') reading.invalid(at(path, 'address'), 'is missing')
  return { address: socket.address, port }
}

/** Inline text; files and environment variables belong to another machine's proxy. */
export function readText(reading: Reading, path: string, source: DataSource | undefined): string | undefined {
  switch (source?.specifier.case) {
    case 'inlineString':
      return source.specifier.value
    case 'inlineBytes':
      return new TextDecoder().decode(source.specifier.value)
    case 'filename':
    case 'environmentVariable':
      reading.unsupported(path, `only inline data is supported, not ${source.specifier.case === 'filename' ? 'filename' : 'environment_variable'}`)
      return undefined
    case undefined:
      return undefined
  }
}

/** A Struct whose values are all text. */
export function readTexts(reading: Reading, path: string, struct: JsonObject | undefined): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(struct ?? {})) {
    if (typeof value === 'string') texts[name] = value
    else reading.unsupported(at(path, name), 'only text is supported', value)
  }
  return texts
}

/** Text at a path inside a Struct; undefined where there is none. */
export function textIn(struct: JsonObject | undefined, name: string): string | undefined {
  const value = struct?.[name]
  return typeof value === 'string' ? value : undefined
}
