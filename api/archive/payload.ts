import { createGzip, gunzipSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { trustDomain } from '#core/contract/tenancy.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** What may come of an archive's few bytes. */
const PAYLOAD_BYTES_MAX = 128 * 1024 * 1024
/** An object as large as any may be, with what JSON makes of other alphabets. */
const LINE_BYTES_MAX = 8 * 1024 * 1024
const NEWLINE = 0x0a

/** Of a Date (ECMA-262 §21.4.1.1). */
const MS_MAX = 8.64e15

const meshLine = z.object({
  mesh: z.object({
    name: z.string(),
    trustDomain,
    settings: z.looseObject({}),
    rootCertificate: z.string(),
    /** PKCS #8, PEM. */
    rootKey: z.string(),
    revision: z.int(),
    exportedAt: z.string(),
  }),
})
const objectLine = z.object({ object: z.looseObject({}), createdAtMs: z.int().min(0).max(MS_MAX) })
const endLine = z.object({ end: z.int() })

/** Of a mesh, what an archive holds: not its history, members, keys and tokens, which are the organization's, nor its workloads, which bring themselves in. */
export interface ArchivedMesh {
  readonly mesh: z.infer<typeof meshLine>['mesh']
  readonly objects: readonly { readonly object: ResourceObject; readonly createdAtMs: number }[]
}

/** JSON lines, gzipped: the mesh, each object with its secrets and field managers, and their count. */
export function writePayload({ mesh, objects }: ArchivedMesh): AsyncIterable<Uint8Array> {
  function* lines(): Generator<string> {
    yield `${JSON.stringify({ mesh })}\n`
    for (const one of objects) yield `${JSON.stringify(one)}\n`
    yield `${JSON.stringify({ end: objects.length })}\n`
  }
  return Readable.from(lines(), { objectMode: false }).pipe(createGzip())
}

/**
 * @param objectsMax of more than that nothing is read: a few bytes unfold into millions of lines
 * @throws Faults 'archive.sealed' for what no version of Weft has written
 */
export function readPayload(payload: Buffer, objectsMax: number): ArchivedMesh {
  const wrong = (rule: string): Faults => new Faults([fault('archive.sealed', { path: 'archive', rule })])
  try {
    const lines = linesOf(gunzipSync(payload, { maxOutputLength: PAYLOAD_BYTES_MAX }))
    const { mesh } = meshLine.parse(JSON.parse(lines.next().value ?? ''))
    const objects: ArchivedMesh['objects'][number][] = []
    for (const line of lines) {
      const read: unknown = JSON.parse(line)
      const last = endLine.safeParse(read)
      if (!last.success) {
        if (objects.length === objectsMax) throw wrong(`at most ${objectsMax} objects, as in a mesh`)
        objects.push(objectLine.parse(read) as ArchivedMesh['objects'][number])
        continue
      }
      if (objects.length !== last.data.end || lines.next().done !== true) throw wrong(`${last.data.end} objects, and nothing behind them`)
      return { mesh, objects }
    }
    throw wrong('a mesh with its end')
  } catch (error) {
    if (error instanceof Faults) throw error
    throw wrong('a mesh that this version can read')
  }
}

function* linesOf(text: Buffer): Generator<string, undefined> {
  for (let start = 0; start < text.length; ) {
    const at = text.indexOf(NEWLINE, start)
    const end = at < 0 ? text.length : at
    if (end - start > LINE_BYTES_MAX) throw new Error('a line is too long')
    yield text.toString('utf8', start, end)
    start = end + 1
  }
}
