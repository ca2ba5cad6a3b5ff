import { isMap, parseDocument } from 'yaml'
import { DOCUMENT_BOUNDS, isTooDeep, repeatedKey } from '#core/resource/documents.ts'
import { Faults, fault } from '#core/fault/fault.ts'
import type { ResourceKind } from '#core/resource/kind.ts'
import type { Target } from '../apply/target.ts'
import type { ApiDoors } from '../rest/doors.ts'
import { typeOf } from './media-type.ts'
import type { Form } from './media-type.ts'
import { readProtobuf } from './protobuf.ts'
import type { IncludeObject } from './table.ts'

/** One request for objects of a kind, read and allowed. */
export interface ObjectsRequest {
  readonly doors: ApiDoors
  readonly target: Target
  readonly kind: ResourceKind
  readonly version: string
  readonly namespace: string | undefined
  readonly name: string
  readonly query: (name: string) => string | undefined
  /** What of objects the answer holds. */
  readonly form: Form
  readonly include: IncludeObject
  readonly contentType: string
  readonly userAgent: string | undefined
  /** The whole body, within its bound. */
  readonly body: () => Promise<Buffer>
  /** Says what a new object is called, for the words of a refusal. */
  readonly named: (name: string) => void
  readonly signal: AbortSignal
  /** Told when a watch is over. */
  readonly ended?: () => void
  /** Whether the key still may: for what lives longer than a request. */
  readonly stillAllowed: () => Promise<boolean>
}

export const BODY_MAX = 6 * 1024 * 1024

/** The body of a request, at most `bytesMax`. @throws Faults 'request.too-large' */
export async function boundedBody(request: Request, bytesMax = BODY_MAX): Promise<Buffer> {
  const tooLarge = (): Faults => new Faults([fault('request.too-large', { path: '', rule: `a body of at most ${bytesMax} bytes` })])
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) throw tooLarge()
  if (request.body === null) return Buffer.alloc(0)
  const pieces: Uint8Array[] = []
  let size = 0
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.byteLength
    if (size > bytesMax) {
      await reader.cancel()
      throw tooLarge()
    }
    pieces.push(value)
  }
  return Buffer.concat(pieces)
}

/** A body as a value: JSON, or YAML or Kubernetes' protobuf where its type says so. @throws Faults 'object.unreadable' */
export function readBody(body: Buffer, contentType: string): unknown {
  const value = parseBody(body, contentType)
  if (isTooDeep(value)) throw new Faults([fault('object.unreadable', { path: '', rule: `nested at most ${DOCUMENT_BOUNDS.depthMax} deep` })])
  return value
}

function parseBody(body: Buffer, contentType: string): unknown {
  const type = typeOf(contentType)
  if (type === 'application/vnd.kubernetes.protobuf') return readProtobuf(body)
  const text = body.toString('utf8')
  const unreadable = (why: string): Faults => new Faults([fault('object.unreadable', { path: '', rule: why })])
  if (!type.includes('yaml')) {
    try {
      return JSON.parse(text)
    } catch (error) {
      throw unreadable(`JSON that can be read: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (text.length > DOCUMENT_BOUNDS.textMax) throw unreadable(`at most ${DOCUMENT_BOUNDS.textMax} characters of YAML`)
  // kubectl sends JSON under the YAML type, which is much faster read as such.
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text)
    } catch {
      // YAML's flow form begins alike; it is read below.
    }
  }
  try {
    const document = parseDocument(text, { version: '1.2', prettyErrors: false, uniqueKeys: false, logLevel: 'error' })
    if (document.errors.length > 0) throw unreadable(`YAML that can be read: ${document.errors[0]?.message ?? ''}`)
    if (repeatedKey(document.contents) !== undefined) throw unreadable('YAML: Map keys must be unique')
    if (!isMap(document.contents)) throw unreadable('an object')
    return document.toJS({ maxAliasCount: DOCUMENT_BOUNDS.aliasesMax })
  } catch (error) {
    if (error instanceof Faults) throw error
    throw unreadable(`YAML that can be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
