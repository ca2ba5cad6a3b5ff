import { createGzip, gunzipSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { fault, Faults } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'

/** What may come of an archive's few bytes. */
const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024

const meshLine = z.object({
  mesh: z.object({
    name: z.string(),
    trustDomain: z.string().min(1).max(253),
    settings: z.looseObject({}),
    rootCertificate: z.string(),
    /** PKCS #8, PEM. */
    rootKey: z.string(),
    revision: z.int(),
    exportedAt: z.string(),
  }),
})
const objectLine = z.object({ object: z.looseObject({}), createdAtMs: z.number() })
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

/** @throws Faults 'archive.sealed' for what no version of Weft has written */
export function readPayload(payload: Buffer): ArchivedMesh {
  const wrong = (rule: string): Faults => new Faults([fault('archive.sealed', { path: 'archive', rule })])
  try {
    const text = gunzipSync(payload, { maxOutputLength: PAYLOAD_BYTES_MAX }).toString('utf8')
    const lines = text.split('\n').filter((line) => line !== '').map((line): unknown => JSON.parse(line))
    const { mesh } = meshLine.parse(lines[0])
    const { end } = endLine.parse(lines.at(-1))
    const objects = lines.slice(1, -1).map((line) => objectLine.parse(line) as ArchivedMesh['objects'][number])
    if (objects.length !== end) throw wrong(`${end} objects; ${objects.length} are there`)
    return { mesh, objects }
  } catch (error) {
    if (error instanceof Faults) throw error
    throw wrong('a mesh that this version can read')
  }
}
