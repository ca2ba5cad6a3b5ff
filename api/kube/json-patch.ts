import { isDeepStrictEqual } from 'node:util'
import { Faults, fault } from '#core/fault/fault.ts'

const OPERATIONS_MAX = 10_000
/** Of all that `copy` operations copy, as JSON: each can double the document, so that a few dozen would fill any memory (Kubernetes: CVE-2019-1002100). */
const COPIED_MAX = 3 * 1024 * 1024
/** Members of lists that insertions and removals may move, together. */
const MOVED_MAX = 50_000_000

/** What a patch may still do. */
interface Budget {
  copied: number
  moved: number
}

const refuse = (path: string, rule: string): Faults => new Faults([fault('request.invalid', { path, rule })])
/** A patch that can be read and does not apply to this object. */
const inapplicable = (path: string, rule: string): Faults => new Faults([fault('object.field-conflict', { path, rule })])

/** RFC 6902 over a JSON value; the input is not changed. @throws Faults 'request.invalid' for what is no patch, 'object.field-conflict' for one that does not apply */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch) || patch.length > OPERATIONS_MAX) throw refuse('', `a list of at most ${OPERATIONS_MAX} operations`)
  const budget: Budget = { copied: COPIED_MAX, moved: MOVED_MAX }
  let result: unknown = structuredClone(document)
  for (const [index, operation] of patch.entries()) result = applyOperation(result, operation, `[${index}]`, budget)
  return result
}

function applyOperation(document: unknown, operation: unknown, at: string, budget: Budget): unknown {
  if (operation === null || typeof operation !== 'object') throw refuse(at, 'an operation with op and path')
  const { op, path, from, value } = operation as Readonly<Record<string, unknown>>
  const target = pointer(path, `${at}.path`)
  switch (op) {
    case 'add':
      return put(document, target, structuredClone(value), 'insert', at, budget)
    case 'replace':
      read(document, target, at)
      return put(document, target, structuredClone(value), 'replace', at, budget)
    case 'remove':
      return remove(document, target, at, budget)
    case 'test':
      if (!isDeepStrictEqual(read(document, target, at), value)) throw inapplicable(`${at}.value`, 'the value that is there (the test failed)')
      return document
    case 'copy':
      return put(document, target, copied(read(document, pointer(from, `${at}.from`), at), at, budget), 'insert', at, budget)
    case 'move': {
      const source = pointer(from, `${at}.from`)
      const moved = read(document, source, at)
      return put(remove(document, source, at, budget), target, moved, 'insert', at, budget)
    }
    default:
      throw refuse(`${at}.op`, 'add, replace, remove, test, copy or move')
  }
}

/** RFC 6901. */
function pointer(text: unknown, at: string): string[] {
  if (typeof text !== 'string' || (text !== '' && !text.startsWith('/'))) throw refuse(at, 'a JSON pointer such as /spec/hosts/0')
  return text.split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function read(document: unknown, path: readonly string[], at: string): unknown {
  let here = document
  for (const step of path) {
    if (here === null || typeof here !== 'object' || !Object.hasOwn(here, step)) throw inapplicable(`${at}.path`, `/${path.join('/')} is not there`)
    here = (here as Record<string, unknown>)[step]
  }
  return here
}

function put(document: unknown, path: readonly string[], value: unknown, how: 'insert' | 'replace', at: string, budget: Budget): unknown {
  if (path.length === 0) return value
  const parent = read(document, path.slice(0, -1), at)
  const last = path.at(-1) ?? ''
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : /^(0|[1-9]\d*)$/.test(last) ? Number(last) : -1
    if (index < 0 || index > parent.length) throw inapplicable(`${at}.path`, `an index of the list, 0..${parent.length}`)
    if (how === 'insert') charge(budget, 'moved', parent.length - index, at)
    parent.splice(index, how === 'replace' ? 1 : 0, value)
  } else if (parent !== null && typeof parent === 'object') setMember(parent, last, value)
  else throw inapplicable(`${at}.path`, 'a path into an object or a list')
  return document
}

function remove(document: unknown, path: readonly string[], at: string, budget: Budget): unknown {
  read(document, path, at)
  const parent = read(document, path.slice(0, -1), at)
  const last = path.at(-1)
  if (last === undefined) throw refuse(`${at}.path`, 'a part of the object')
  if (Array.isArray(parent)) {
    charge(budget, 'moved', parent.length - Number(last), at)
    parent.splice(Number(last), 1)
  } else delete (parent as Record<string, unknown>)[last]
  return document
}

function copied(value: unknown, at: string, budget: Budget): unknown {
  charge(budget, 'copied', JSON.stringify(value).length, at)
  return structuredClone(value)
}

function charge(budget: Budget, what: keyof Budget, by: number, at: string): void {
  budget[what] -= by
  if (budget[what] < 0) throw refuse(at, 'a patch that copies and moves less')
}

/** Sets an own member whatever its name: an assignment to `__proto__` would not. */
export function setMember(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true })
}
