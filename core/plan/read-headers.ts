import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction as Append, HeaderValueOptionSchema, HeaderValueSchema } from '../wire/gen/envoy/config/core/v3/base_pb.ts'
import { parseFormat } from '../telemetry/format.ts'
import type { HeaderOperations } from './route.ts'
import { at, type Reading } from './read.ts'

/** A message's four lists, of requests or of responses. */
export function readHeaderOperations(reading: Reading, path: string, kind: 'request' | 'response', add: readonly HeaderValueOption[], remove: readonly string[]): HeaderOperations | undefined {
  if (add.length === 0 && remove.length === 0) return undefined
  const set: { name: string; value: string }[] = []
  const added: { name: string; value: string }[] = []
  const absent: { name: string; value: string }[] = []
  const present: { name: string; value: string }[] = []
  for (const [index, option] of add.entries()) {
    const where = at(path, `${kind}_headers_to_add`, index)
    const read = readOption(reading, where, option)
    if (read === undefined) continue
    const into = new Map<Append, { name: string; value: string }[]>([[Append.OVERWRITE_IF_EXISTS_OR_ADD, set], [Append.ADD_IF_ABSENT, absent], [Append.OVERWRITE_IF_EXISTS, present]]).get(read.action) ?? added
    into.push(read.header)
  }
  for (const [index, name] of remove.entries()) {
    if (name === '' || name.startsWith(':') || name.toLowerCase() === 'host') reading.invalid(at(path, `${kind}_headers_to_remove`, index), 'cannot be removed', name)
  }
  return {
    set,
    add: added,
    remove: remove.map((name) => name.toLowerCase()),
    ...(absent.length === 0 ? {} : { addIfAbsent: absent }),
    ...(present.length === 0 ? {} : { setIfPresent: present }),
  }
}

export function readOption(reading: Reading, path: string, option: HeaderValueOption): { header: { name: string; value: string }; action: Append; overwrite: boolean } | undefined {
  reading.only(path, HeaderValueOptionSchema, option, ['header', 'append', 'append_action', 'keep_empty_value'])
  const { header } = option
  if (header === undefined || header.key === '') {
    reading.invalid(at(path, 'header'), 'is missing')
    return undefined
  }
  reading.only(at(path, 'header'), HeaderValueSchema, header, ['key', 'value'])
  if (parseFormat(header.value) === undefined) reading.invalid(at(path, 'header.value'), 'has a malformed command operator', header.value)
  if (/[\0\r\n]/.test(header.value)) reading.invalid(at(path, 'header.value'), 'must not have line breaks')
  const action = option.append === false && option.appendAction === Append.APPEND_IF_EXISTS_OR_ADD ? Append.OVERWRITE_IF_EXISTS_OR_ADD : option.appendAction
  return { header: { name: header.key.toLowerCase(), value: header.value }, action, overwrite: action === Append.OVERWRITE_IF_EXISTS_OR_ADD }
}

/** First what `inner` does, then `outer`, as one: later settings and removals win. */
export function thenHeaders(inner: HeaderOperations | undefined, outer: HeaderOperations | undefined): HeaderOperations | undefined {
  if (inner === undefined || outer === undefined) return inner ?? outer
  const gone = new Set([...outer.remove, ...outer.set.map((header) => header.name)])
  return {
    set: [...inner.set.filter((header) => !gone.has(header.name)), ...outer.set],
    add: [...inner.add.filter((header) => !gone.has(header.name)), ...outer.add],
    remove: [...new Set([...inner.remove, ...outer.remove])],
    ...conditional('addIfAbsent', inner, outer, gone),
    ...conditional('setIfPresent', inner, outer, gone),
  }
}

function conditional(kind: 'addIfAbsent' | 'setIfPresent', inner: HeaderOperations, outer: HeaderOperations, gone: ReadonlySet<string>): Pick<HeaderOperations, 'addIfAbsent' | 'setIfPresent'> {
  const all = [...(inner[kind] ?? []).filter((header) => !gone.has(header.name)), ...(outer[kind] ?? [])]
  return all.length === 0 ? {} : { [kind]: all }
}
