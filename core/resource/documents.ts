import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import type { Document, Node, ParsedNode } from 'yaml'
import { fault } from '../fault/fault.ts'
import type { Fault } from '../fault/fault.ts'
import { parsePath } from './path.ts'

/** Whether a value nests deeper than objects may: what walks it recurses, and some of it copies the way to each leaf. */
export function isTooDeep(value: unknown, depthMax: number = DOCUMENT_BOUNDS.depthMax): boolean {
  if (value === null || typeof value !== 'object') return false
  return depthMax === 0 || Object.values(value).some((one) => isTooDeep(one, depthMax - 1))
}

export interface ReadDocument {
  readonly value: unknown
  /** The line, 1-based, of the node that a fault's path names, or of the nearest one around it. */
  lineOf(path: string): number
}

/** Bounds of what is read at all: text in UTF-16 units, aliases that are followed, nesting, documents. */
export const DOCUMENT_BOUNDS = { textMax: 5 * 1024 * 1024, aliasesMax: 100, depthMax: 64, documentsMax: 20_000 } as const

/**
 * The objects in a file of YAML 1.2 (or JSON) documents, with the lines of their nodes; empty documents are left out, and a `List` is taken apart.
 * What cannot be read becomes faults 'object.unreadable' with file and line; the other documents are still answered.
 */
export function readDocuments(text: string, file: string): { documents: ReadDocument[]; faults: Fault[] } {
  const refuse = (rule: string, line = 1, hint?: string): Fault => ({ ...fault('object.unreadable', { path: '', rule, ...(hint === undefined ? {} : { hint }) }), source: { file, line } })
  if (text.length > DOCUMENT_BOUNDS.textMax) return { documents: [], faults: [refuse(`a file of at most ${DOCUMENT_BOUNDS.textMax} characters`, 1, 'apply it in parts')] }
  const tooDeep = firstTooDeep(text)
  if (tooDeep !== undefined) return { documents: [], faults: [refuse(`nested at most ${DOCUMENT_BOUNDS.depthMax} deep`, tooDeep)] }
  const lines = new LineCounter()
  let parsed: Document.Parsed<ParsedNode>[]
  try {
    const answer = parseAllDocuments(text, { lineCounter: lines, version: '1.2', prettyErrors: false, uniqueKeys: false, strict: true, logLevel: 'error' })
    parsed = Array.isArray(answer) ? answer : []
  } catch (error) {
    // The parser gives up by throwing where it cannot recover, such as on very deep nesting.
    return { documents: [], faults: [refuse(`YAML that can be read: ${error instanceof Error ? error.message : String(error)}`)] }
  }
  const documents: ReadDocument[] = []
  const faults: Fault[] = []
  if (parsed.length > DOCUMENT_BOUNDS.documentsMax) return { documents, faults: [refuse(`at most ${DOCUMENT_BOUNDS.documentsMax} documents`)] }
  for (const document of parsed) {
    if (document.errors.length > 0) {
      for (const error of document.errors.slice(0, 10)) faults.push(refuse(`YAML: ${error.message}`, lines.linePos(error.pos[0]).line))
      continue
    }
    const { contents } = document
    const twice = repeatedKey(contents)
    if (twice !== undefined) {
      faults.push(refuse('YAML: Map keys must be unique', lineAt(twice, lines)))
      continue
    }
    if (contents === null || (isScalar(contents) && contents.value === null)) continue
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: DOCUMENT_BOUNDS.aliasesMax })
    } catch (error) {
      faults.push(refuse(`YAML that can be read: ${error instanceof Error ? error.message : String(error)}`, lineAt(contents, lines), 'aliases are followed within bounds'))
      continue
    }
    documents.push(...listed(value, contents, lines))
  }
  return { documents, faults }
}

/** A key that its map has already. The parser's own look compares each key with all before it, which takes minutes in a map of a hundred thousand. */
export function repeatedKey(node: unknown): Node | undefined {
  if (!isMap(node) && !isSeq(node)) return undefined
  const seen = new Set<unknown>()
  for (const item of node.items) {
    const key = isPair(item) ? item.key : undefined
    if (isScalar(key)) {
      if (seen.has(key.value)) return key
      seen.add(key.value)
    }
    const below = repeatedKey(key) ?? repeatedKey(isPair(item) ? item.value : item)
    if (below !== undefined) return below
  }
  return undefined
}

function listed(value: unknown, node: Node, lines: LineCounter): ReadDocument[] {
  if (isList(value)) {
    return value.items.map((item, index) => ({ value: item, lineOf: (path) => lineOfPath(node, ['items', index, ...parsePath(path)], lines) }))
  }
  return [{ value, lineOf: (path) => lineOfPath(node, parsePath(path), lines) }]
}

function isList(value: unknown): value is { items: unknown[] } {
  return value !== null && typeof value === 'object' && 'kind' in value && typeof value.kind === 'string' && value.kind.endsWith('List') && 'items' in value && Array.isArray(value.items)
}

function lineOfPath(root: Node, path: readonly (string | number)[], lines: LineCounter): number {
  let node: Node = root
  let line = lineAt(root, lines)
  for (const step of path) {
    let next: unknown
    if (isMap(node)) {
      const pair = node.items.find((one) => isScalar(one.key) && String(one.key.value) === String(step))
      if (pair === undefined) break
      if (isNode(pair.key)) line = lineAt(pair.key, lines)
      next = pair.value
    } else if (isSeq(node)) {
      next = node.items[Number(step)]
      if (isNode(next)) line = lineAt(next, lines)
    }
    if (!isNode(next)) break
    node = next
  }
  return line
}

function lineAt(node: Node, lines: LineCounter): number {
  return node.range ? lines.linePos(node.range[0]).line : 1
}

// Brackets nest by characters, blocks by indentation of at least one space (or "- - -"): both are counted before the parser recurses.
function firstTooDeep(text: string): number | undefined {
  let flow = 0
  let line = 1
  let lineStart = 0
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charCodeAt(index)
    if (character === 10) {
      line += 1
      lineStart = index + 1
    } else if (character === 91 || character === 123) {
      flow += 1
      if (flow > DOCUMENT_BOUNDS.depthMax * 8) return line
    } else if (character === 93 || character === 125) flow = Math.max(0, flow - 1)
    else if (character === 45 && index - lineStart > DOCUMENT_BOUNDS.depthMax * 8 && /^[\s-]*$/.test(text.slice(lineStart, index))) return line
  }
  return undefined
}
