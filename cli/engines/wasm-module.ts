import { createHash } from 'node:crypto'

/**
 * A small module for the proxy-wasm ABI (github.com/proxy-wasm/spec, v0.2.1), put together byte by byte: no compiler is needed where configurations are tested.
 * To every request it adds three headers, so that what an operator configured is seen by the application: `x-plugin`, the text of its configuration;
 * `x-plugin-root`, the name by which it was started; `x-plugin-env`, the variables of its environment, a comma behind each. A request with the header `x-trap` ends it.
 */

const I32 = 0x7f
/** Sections of the binary format (webassembly.github.io/spec/core/binary). */
const SECTION = { type: 1, import: 2, function: 3, memory: 5, global: 6, export: 7, code: 10, data: 11 } as const

const unsigned = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)])
const signed = (value: number): number[] => {
  const low = value & 0x7f
  const rest = value >> 7
  return (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0) ? [low] : [low | 0x80, ...signed(rest)]
}
const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()]
const text = (words: string): number[] => vector([...Buffer.from(words)].map((one) => [one]))
const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content]

/** So many i32 in, and one out or none. */
const signature = (parameters: number, results: 0 | 1): number[] => [0x60, ...vector(Array.from({ length: parameters }, () => [I32])), ...vector(results === 1 ? [[I32]] : [])]

const get = (local: number): number[] => [0x20, ...unsigned(local)]
const set = (local: number): number[] => [0x21, ...unsigned(local)]
const constant = (value: number): number[] => [0x41, ...signed(value)]
const call = (index: number): number[] => [0x10, ...unsigned(index)]
const load = (address: number): number[] => [...constant(address), 0x28, 2, 0]
const DROP = 0x1a
const END = 0x0b
const ADD = 0x6a
const ARE_ZERO = 0x45
const IF = [0x04, 0x40]

/** What the host gives, in the order in which `call` counts; all answer a number. */
const IMPORTS = [
  { module: 'env', name: 'proxy_get_buffer_bytes', parameters: 5 },
  { module: 'env', name: 'proxy_add_header_map_value', parameters: 5 },
  { module: 'env', name: 'proxy_get_property', parameters: 4 },
  { module: 'env', name: 'proxy_get_header_map_value', parameters: 5 },
  { module: 'wasi_snapshot_preview1', name: 'environ_sizes_get', parameters: 2 },
  { module: 'wasi_snapshot_preview1', name: 'environ_get', parameters: 2 },
] as const
const [GET_BUFFER, ADD_HEADER, GET_PROPERTY, GET_HEADER, SIZES_OF_ENVIRONMENT, GET_ENVIRONMENT] = [0, 1, 2, 3, 4, 5] as const

/** Signatures by number of parameters, each of which answers; the last two answer nothing. */
const SIGNATURES = [signature(0, 1), signature(1, 1), signature(2, 1), signature(3, 1), signature(4, 1), signature(5, 1), signature(0, 0), signature(2, 0)]
const [NOTHING, TAKES_TWO] = [6, 7] as const

/** Where in memory the host writes pointers and sizes; names stand behind them, then the environment, and what is allocated has a page of its own. */
const AT = { configuration: 0, configurationBytes: 4, root: 8, rootBytes: 12, variables: 16, variableBytes: 20, found: 24, foundBytes: 28 } as const
const NAMES_AT = 64
const POINTERS_AT = 1024
const ENVIRONMENT_AT = 4096
const HEAP_AT = 65_536
const NAMES = ['x-plugin', 'x-plugin-root', 'x-plugin-env', 'plugin_root_id', 'x-trap'] as const
type Name = (typeof NAMES)[number]

const named = (name: Name): number[] => [...constant(NAMES_AT + NAMES.slice(0, NAMES.indexOf(name)).join('').length), ...constant(name.length)]

/** BufferType and MapType of the ABI. */
const PLUGIN_CONFIGURATION = 7
const REQUEST_HEADERS = 0

const addHeader = (name: Name, at: number, bytesAt: number): number[] => [...constant(REQUEST_HEADERS), ...named(name), ...load(at), ...load(bytesAt), ...call(ADD_HEADER), DROP]

/** `proxy_on_memory_allocate(bytes)`, by eights. Nothing is ever given back: a run of tests is short. */
const ALLOCATE = [0x23, 0, 0x23, 0, ...get(0), ADD, ...constant(7), ADD, ...constant(-8), 0x71, 0x24, 0, END]

/** `proxy_on_configure(context, bytes)`: keeps the configuration, the name that it was started by, and the environment with commas in place of the zeroes behind each variable. */
const CONFIGURE = [
  ...constant(PLUGIN_CONFIGURATION), ...constant(0), ...get(1), ...constant(AT.configuration), ...constant(AT.configurationBytes), ...call(GET_BUFFER), DROP,
  ...named('plugin_root_id'), ...constant(AT.root), ...constant(AT.rootBytes), ...call(GET_PROPERTY), DROP,
  ...constant(AT.variables), ...constant(AT.variableBytes), ...call(SIZES_OF_ENVIRONMENT), DROP,
  ...constant(POINTERS_AT), ...constant(ENVIRONMENT_AT), ...call(GET_ENVIRONMENT), DROP,
  // A block around a loop: out of it at the end, else a zero becomes a comma, and on.
  0x02, 0x40, 0x03, 0x40,
  ...get(2), ...load(AT.variableBytes), 0x4f, 0x0d, 1,
  ...get(2), 0x2d, 0, ...unsigned(ENVIRONMENT_AT), ARE_ZERO, ...IF, ...get(2), ...constant(','.charCodeAt(0)), 0x3a, 0, ...unsigned(ENVIRONMENT_AT), END,
  ...get(2), ...constant(1), ADD, ...set(2), 0x0c, 0,
  END, END,
  ...constant(AT.variables), ...constant(ENVIRONMENT_AT), 0x36, 2, 0,
  ...constant(1), END,
]

/** `proxy_on_request_headers(context, count, end)`. The host answers 0 where it has a header; what is read then has a size. */
const ON_REQUEST = [
  ...constant(REQUEST_HEADERS), ...named('x-trap'), ...constant(AT.found), ...constant(AT.foundBytes), ...call(GET_HEADER), ARE_ZERO, ...IF, ...load(AT.foundBytes), ...IF, 0x00, END, END,
  ...addHeader('x-plugin', AT.configuration, AT.configurationBytes),
  ...addHeader('x-plugin-root', AT.root, AT.rootBytes),
  ...addHeader('x-plugin-env', AT.variables, AT.variableBytes),
  ...constant(0), END,
]

/** What the host calls, by signature, with so many locals of its own. */
const EXPORTS: readonly { readonly name: string; readonly signature: number; readonly locals: number; readonly body: readonly number[] }[] = [
  { name: 'proxy_abi_version_0_2_1', signature: NOTHING, locals: 0, body: [END] },
  { name: 'proxy_on_memory_allocate', signature: 1, locals: 0, body: ALLOCATE },
  { name: 'proxy_on_context_create', signature: TAKES_TWO, locals: 0, body: [END] },
  { name: 'proxy_on_configure', signature: 2, locals: 1, body: CONFIGURE },
  { name: 'proxy_on_request_headers', signature: 3, locals: 0, body: ON_REQUEST },
]

function codeOf({ locals, body }: (typeof EXPORTS)[number]): number[] {
  const content = [...vector(locals === 0 ? [] : [[...unsigned(locals), I32]]), ...body]
  return [...unsigned(content.length), ...content]
}

export const wasmModule: Uint8Array<ArrayBuffer> = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(SECTION.type, vector(SIGNATURES)),
  ...section(SECTION.import, vector(IMPORTS.map((one) => [...text(one.module), ...text(one.name), 0, ...unsigned(one.parameters)]))),
  ...section(SECTION.function, vector(EXPORTS.map((one) => unsigned(one.signature)))),
  ...section(SECTION.memory, vector([[0, 2]])),
  ...section(SECTION.global, vector([[I32, 1, ...constant(HEAP_AT), END]])),
  ...section(SECTION.export, vector([[...text('memory'), 2, 0], ...EXPORTS.map((one, index) => [...text(one.name), 0, ...unsigned(IMPORTS.length + index)])])),
  ...section(SECTION.code, vector(EXPORTS.map(codeOf))),
  ...section(SECTION.data, vector([[0, ...constant(NAMES_AT), END, ...text(NAMES.join(''))]])),
])

/** SHA-256, as plugins name it. */
export const wasmModuleDigest: string = createHash('sha256').update(wasmModule).digest('hex')
