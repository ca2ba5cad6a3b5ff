import { existsSync, statSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import type { z } from 'zod'
import { workloadFrom } from '#api/simulate/workload-words.ts'
import { worldOf, type World, type WorldParts } from '#api/simulate/world.ts'
import { requestsFile, type RequestsFile } from '#core/contract/requests-file.ts'
import { type Fault, Faults } from '#core/fault/fault.ts'
import { readDocuments } from '#core/resource/documents.ts'
import { faultsOf } from '#core/resource/issue.ts'
import { objectName, type ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { readFiles, type TextFile } from './files.ts'
import { withReadableKeys } from './tokens.ts'

/** Where an object's fields stand: file and line of a path within it, by the object's name. */
export type Places = ReadonlyMap<string, { readonly file: string; lineOf(path: string): number }>

export interface OfflineMesh {
  readonly world: World
  readonly places: Places
}

/**
 * A mesh from files of configuration and a description of who exists.
 * @throws Faults of everything that is not valid, with file and line
 */
export async function offlineMesh(sources: readonly string[], about: RequestsFile): Promise<OfflineMesh> {
  const { objects, places } = await readConfiguration(sources)
  const world = worldOf({ objects, workloads: (about.workloads ?? []).map(workloadFrom), assumesCredentials: true, ...worldSettings(about) })
  return { world, places }
}

/** What a description says of a mesh as a whole. */
export const worldSettings = (about: RequestsFile): Pick<WorldParts, 'settings' | 'trustDomain'> => ({
  ...(about.settings?.outboundTrafficPolicy === undefined ? {} : { settings: { outboundTrafficPolicy: about.settings.outboundTrafficPolicy } }),
  ...(about.trustDomain === undefined ? {} : { trustDomain: about.trustDomain }),
})

/**
 * The objects in files and folders, in order.
 * @throws Faults of everything that is not valid, with file and line
 */
export async function readConfiguration(sources: readonly string[]): Promise<{ readonly objects: readonly ResourceObject[]; readonly places: Places }> {
  const objects: ResourceObject[] = []
  const places = new Map<string, { file: string; lineOf(path: string): number }>()
  const faults: Fault[] = []
  for (const file of await readFiles(sources)) {
    const read = readDocuments(file.text, file.name)
    faults.push(...read.faults)
    for (const document of read.documents) {
      const parsed = parseObject(withReadableKeys(document.value), { defaultNamespace: 'default' })
      faults.push(...parsed.faults.filter((one) => one.severity === 'error').map((one) => ({ ...one, source: { file: file.name, line: document.lineOf(one.path) } })))
      if (parsed.object === undefined) continue
      objects.push(parsed.object)
      places.set(objectName(parsed.object), { file: file.name, lineOf: (field) => document.lineOf(field) })
    }
  }
  if (faults.length > 0) throw new Faults(faults)
  return { objects, places }
}

/** A `requests.yaml`, or a list of workloads alone. @throws Faults with file and line */
export function readRequestsFile(file: TextFile): RequestsFile {
  const [document, ...more] = readDocuments(file.text, file.name).documents
  if (document === undefined || more.length > 0) {
    // Parsing again tells what is wrong with a text that gives no single document.
    parse(file.text)
    throw new Error(`${file.name} holds ${more.length === 0 ? 'nothing' : 'several documents'}; one is wanted, with config, workloads and tests`)
  }
  const value = Array.isArray(document.value) ? { workloads: document.value as unknown[] } : document.value
  const read = (requestsFile as z.ZodType<RequestsFile>).safeParse(value)
  if (read.success) return read.data
  throw new Faults(faultsOf(read.error.issues, requestsFile, value).map((one): Fault => ({ ...one, code: 'request.invalid', source: { file: file.name, line: document.lineOf(one.path) } })))
}

/** The line of a requests file on which a test says what it expects. */
export function expectationLines(file: TextFile): (test: number) => number {
  const [document] = readDocuments(file.text, file.name).documents
  return (test) => document?.lineOf(`tests[${test}].expect`) ?? 1
}

/** The configuration that a requests file names, beside it; without any, what lies in `mesh.yaml` beside it. */
export function configBeside(file: string, about: RequestsFile): string[] {
  const folder = path.dirname(file)
  if (about.config !== undefined) return about.config.map((one) => path.join(folder, one))
  const single = path.join(folder, 'mesh.yaml')
  return existsSync(single) && statSync(single).isFile() ? [single] : []
}
