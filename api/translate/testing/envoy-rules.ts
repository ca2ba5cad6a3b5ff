import { create, createFileRegistry, type DescExtension, type DescField, type DescMessage, type FileRegistry, fromBinary, getOption, hasOption, type Message } from '@bufbuild/protobuf'
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from '@bufbuild/protobuf/reflect'
import { FileDescriptorSetSchema, file_google_protobuf_descriptor } from '@bufbuild/protobuf/wkt'
import type { ResourceView } from '#api/serve/resource.ts'
import { NAME_TABLE } from '#core/wire/type-url.ts'
import { readKept } from '#infra/wire/generate.ts'
import { wellKnown } from '#infra/wire/well-known.ts'
import { listed } from './mesh-case.ts'
import { brokenBy, type ValueRules } from './rule-values.ts'

/** Messages and rules as they were published; extensions are found by name. */
const registry: FileRegistry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...wellKnown, file_google_protobuf_descriptor.proto, ...readKept()] }))

function extension(name: string): DescExtension {
  const found = registry.getExtension(`validate.${name}`)
  if (found === undefined) throw new Error(`the kept descriptors do not declare validate.${name}: npm run wire`)
  return found
}
const [RULES, REQUIRED, DISABLED, IGNORED] = ['rules', 'required', 'disabled', 'ignored'].map(extension) as [DescExtension, DescExtension, DescExtension, DescExtension]

/**
 * Where a message breaks the rules that Envoy's API declares for it (protoc-gen-validate), `FIELD.FIELD[0]: RULE` each; empty when it is valid.
 * What stands in an Any is judged as the message that it is. A field or a type that the API does not have is told as well.
 * @param type full name of the message, or a type URL that ends with it
 */
export function brokenRules(type: string, bytes: Uint8Array): string[] {
  const broken: string[] = []
  judgeBytes(type, bytes, '', broken)
  return broken
}

/** Those of every resource that a view lists, each behind the resource's name. Istio's name tables are no messages of Envoy's. */
export function brokenInView(view: ResourceView): string[] {
  return Object.values(listed(view)).flatMap((of) => of.flatMap(({ type, name, bytes }) => (type === NAME_TABLE ? [] : brokenRules(type, bytes).map((one) => `${name}: ${one}`))))
}

function judgeBytes(type: string, bytes: Uint8Array, path: string, broken: string[]): void {
  const schema = registry.getMessage(type.slice(type.lastIndexOf('/') + 1))
  if (schema === undefined) {
    broken.push(`${path}: there is no message ${JSON.stringify(type)}`)
    return
  }
  let message: Message
  try {
    message = fromBinary(schema, bytes)
  } catch (error) {
    broken.push(`${path}: no ${schema.typeName}: ${error instanceof Error ? error.message : String(error)}`)
    return
  }
  judge(reflect(schema, message), path, broken)
}

/** One field's rules: those of its own kind, and whether a message must be there or is passed over. */
interface FieldRules {
  readonly kind: string
  readonly rules: ValueRules
  readonly required: boolean
  readonly skip: boolean
}

interface MessageRules {
  readonly off: boolean
  readonly fields: ReadonlyMap<DescField, FieldRules>
  readonly required: ReadonlySet<string>
}

const read = new Map<DescMessage, MessageRules>()

function rulesOf(schema: DescMessage): MessageRules {
  const known = read.get(schema)
  if (known !== undefined) return known
  const found: MessageRules = {
    off: [DISABLED, IGNORED].some((one) => hasOption(schema, one) && getOption(schema, one) === true),
    fields: new Map(schema.fields.flatMap((field) => (hasOption(field, RULES) ? [[field, fieldRules(optionMessage(getOption(field, RULES)))] as const] : []))),
    required: new Set(schema.oneofs.filter((one) => hasOption(one, REQUIRED) && getOption(one, REQUIRED) === true).map((one) => one.name)),
  }
  read.set(schema, found)
  return found
}

const FIELD_RULES = registry.getMessage('validate.FieldRules')

function optionMessage(value: unknown): ReflectMessage {
  if (FIELD_RULES === undefined) throw new Error('the kept descriptors do not declare validate.FieldRules')
  return reflect(FIELD_RULES, value as Message)
}

function fieldRules(rules: ReflectMessage): FieldRules {
  const byName = setFields(rules)
  const message = byName.get('message')
  const ofMessage = message === undefined ? new Map<string, unknown>() : setFields(message as ReflectMessage)
  const kind = [...byName.keys()].find((name) => name !== 'message')
  return {
    kind: kind ?? '',
    rules: kind === undefined ? new Map() : setFields(byName.get(kind) as ReflectMessage),
    required: ofMessage.get('required') === true,
    skip: ofMessage.get('skip') === true,
  }
}

const setFields = (message: ReflectMessage): Map<string, unknown> => new Map(message.fields.filter((field) => message.isSet(field)).map((field) => [field.name, message.get(field)]))

const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

function judge(message: ReflectMessage, path: string, broken: string[]): void {
  const { off, fields, required } = rulesOf(message.desc)
  for (const { no } of message.getUnknown() ?? []) broken.push(`${path}: ${message.desc.typeName} has no field ${no}`)
  if (off) return
  for (const oneof of message.oneofs) if (required.has(oneof.name) && message.oneofCase(oneof) === undefined) broken.push(`${at(path, oneof.name)}: required`)
  for (const field of message.fields) {
    const rules = fields.get(field)
    const here = at(path, field.name)
    if (field.fieldKind === 'list') judgeList(field, message.get(field), rules, here, broken)
    else if (field.fieldKind === 'map') judgeMap(field, message.get(field), rules, here, broken)
    else if (field.fieldKind === 'message') {
      if (message.isSet(field)) judgeMessage(message.get(field), rules, here, broken)
      // Of a choice only what was chosen is judged.
      else if (field.oneof === undefined && (rules?.required === true || rules?.rules.get('required') === true)) broken.push(`${here}: required`)
    } else if (rules !== undefined && (field.presence === IMPLICIT || message.isSet(field))) judgeValue(field, message.get(field), rules, here, broken)
  }
}

/** FeatureSet.FieldPresence.IMPLICIT: a zero is a value like others. */
const IMPLICIT = 2

/** Those of a message whose value is one number or text. */
const NANOS_PER_SECOND = 1_000_000_000n

function judgeMessage(message: ReflectMessage, rules: FieldRules | undefined, path: string, broken: string[]): void {
  if (rules?.skip === true) return
  const { typeName } = message.desc
  if (typeName === 'google.protobuf.Any') {
    const { typeUrl = '', value = new Uint8Array() } = message.message as Message & { typeUrl?: string; value?: Uint8Array }
    if (rules?.kind === 'any') broken.push(...brokenBy('any', rules.rules, typeUrl).map((one) => `${path}: ${one}`))
    if (typeUrl !== '') judgeBytes(typeUrl, value, `${path}<${typeUrl.slice(typeUrl.lastIndexOf('.') + 1)}>`, broken)
    return
  }
  if (rules !== undefined && rules.kind !== '') {
    const time = rules.kind === 'duration' || rules.kind === 'timestamp'
    const value = time ? nanosIn(message) : message.get(message.fields[0] as DescField)
    const inNanos: ValueRules = time ? new Map([...rules.rules].map(([name, wanted]) => [name, inNanoseconds(wanted)])) : rules.rules
    broken.push(...brokenBy(rules.kind, inNanos, value).map((one) => `${path}: ${one}`))
  }
  judge(message, path, broken)
}

function inNanoseconds(wanted: unknown): unknown {
  if (typeof wanted === 'boolean') return wanted
  if (typeof wanted === 'object' && wanted !== null && Symbol.iterator in wanted) return [...(wanted as Iterable<ReflectMessage>)].map(nanosIn)
  return nanosIn(wanted as ReflectMessage)
}

function nanosIn(message: ReflectMessage): bigint {
  const { seconds = 0n, nanos = 0 } = message.message as Message & { seconds?: bigint; nanos?: number }
  return seconds * NANOS_PER_SECOND + BigInt(nanos)
}

function judgeValue(field: Pick<DescField, 'enum'>, value: unknown, { kind, rules }: FieldRules, path: string, broken: string[]): void {
  if (kind === '') return
  broken.push(...brokenBy(kind, rules, value).map((one) => `${path}: ${one}, not ${JSON.stringify(typeof value === 'bigint' ? Number(value) : value)}`))
  if (rules.get('defined_only') === true && field.enum?.value[Number(value)] === undefined) broken.push(`${path}: defined_only, not ${String(value)}`)
}

function judgeList(field: DescField & { fieldKind: 'list' }, list: ReflectList, rules: FieldRules | undefined, path: string, broken: string[]): void {
  const of = rules?.kind === 'repeated' ? rules.rules : new Map<string, unknown>()
  const empty = list.size === 0 && of.get('ignore_empty') === true
  const bound = (name: string): number | undefined => (of.has(name) ? Number(of.get(name)) : undefined)
  if (!empty && list.size < (bound('min_items') ?? 0)) broken.push(`${path}: min_items ${bound('min_items')}, not ${list.size}`)
  if (list.size > (bound('max_items') ?? Infinity)) broken.push(`${path}: max_items ${bound('max_items')}, not ${list.size}`)
  if (of.get('unique') === true && new Set([...list].map((one) => (one instanceof Uint8Array ? Buffer.from(one).toString('hex') : one))).size < list.size) broken.push(`${path}: unique`)
  const items = of.has('items') ? fieldRules(of.get('items') as ReflectMessage) : undefined
  if (rules?.skip === true || items?.skip === true) return
  for (const [index, one] of [...list].entries()) {
    if (field.listKind === 'message') judgeMessage(one as ReflectMessage, items, `${path}[${index}]`, broken)
    else if (items !== undefined) judgeValue(field, one, items, `${path}[${index}]`, broken)
  }
}

function judgeMap(field: DescField & { fieldKind: 'map' }, map: ReflectMap, rules: FieldRules | undefined, path: string, broken: string[]): void {
  const of = rules?.kind === 'map' ? rules.rules : new Map<string, unknown>()
  const empty = map.size === 0 && of.get('ignore_empty') === true
  if (!empty && map.size < Number(of.get('min_pairs') ?? 0)) broken.push(`${path}: min_pairs ${String(of.get('min_pairs'))}, not ${map.size}`)
  if (of.has('max_pairs') && map.size > Number(of.get('max_pairs'))) broken.push(`${path}: max_pairs ${String(of.get('max_pairs'))}, not ${map.size}`)
  const [keys, values] = ['keys', 'values'].map((name) => (of.has(name) ? fieldRules(of.get(name) as ReflectMessage) : undefined))
  for (const [key, value] of map) {
    const here = `${path}[${String(key)}]`
    if (keys !== undefined) judgeValue({ enum: undefined }, key, keys, `${here} (key)`, broken)
    if (field.mapKind === 'message') judgeMessage(value as ReflectMessage, values, here, broken)
    else if (values !== undefined) judgeValue(field, value, values, here, broken)
  }
}
