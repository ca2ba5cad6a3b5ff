import { DIGEST } from './reference.ts'
import { MODULE_BYTES_MAX, ModuleProblem } from './problem.ts'

/** Content of a registry by its digest (OCI Image Specification 1.1, descriptor). */
interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: number
}

/** What a manifest leads to: the layer that holds the module, or, of an index, the manifest of one platform. */
export type Leads = { readonly to: 'layer' | 'manifest'; readonly digest: string; readonly bytes: number }

const INDICES: ReadonlySet<unknown> = new Set(['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'])
const MANIFESTS: ReadonlySet<unknown> = new Set(['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'])
/** Layers that are modules as they stand. */
const MODULE_LAYERS: ReadonlySet<string> = new Set(['application/vnd.module.wasm.content.layer.v1+wasm', 'application/vnd.wasm.content.layer.v1+wasm', 'application/wasm'])
/** Layers of files. */
const FILE_LAYERS: ReadonlySet<string> = new Set(['application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.docker.image.rootfs.diff.tar.gzip', 'application/vnd.oci.image.layer.v1.tar'])

export const MANIFEST_TYPES: string = [...MANIFESTS, ...INDICES].join(', ')
/** What registries must take, at least (OCI Distribution Specification 1.1, "Pushing Manifests"). */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024
const ENTRIES_MAX = 1000

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Reads an image's manifest or index, of OCI or Docker.
 * Modules come as an artifact, whose layer is the module (github.com/solo-io/wasm, spec.md), or as an image, whose last layer has it as `plugin.wasm` (spec-compat.md).
 * @param mediaType as the registry says it, where the document does not
 * @throws ModuleProblem when it is none, or leads nowhere
 */
export function readManifest(bytes: Uint8Array, mediaType: string | undefined): Leads {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new ModuleProblem('its manifest is no JSON', error)
  }
  if (!isObject(json)) throw new ModuleProblem('its manifest is no JSON object')
  const said = json['mediaType'] ?? mediaType?.split(';')[0]?.trim()
  if (INDICES.has(said) || (!MANIFESTS.has(said) && Array.isArray(json['manifests']))) return { to: 'manifest', ...ofPlatform(descriptors(json['manifests'], 'manifests')) }
  if (!MANIFESTS.has(said) && !Array.isArray(json['layers'])) throw new ModuleProblem('its manifest is neither an image’s nor an index')
  const layers = descriptors(json['layers'], 'layers')
  const last = layers.at(-1)
  const layer = layers.find((one) => MODULE_LAYERS.has(one.mediaType)) ?? (last !== undefined && FILE_LAYERS.has(last.mediaType) ? last : undefined)
  if (layer === undefined) throw new ModuleProblem('it is an image without a layer of a module or, as the last one, of files')
  if (layer.bytes > MODULE_BYTES_MAX) throw new ModuleProblem(`its layer has ${layer.bytes} bytes, and at most ${MODULE_BYTES_MAX} are taken`)
  return { to: 'layer', digest: layer.digest, bytes: layer.bytes }
}

function descriptors(list: unknown, field: string): (Descriptor & { readonly platform: Json })[] {
  if (!Array.isArray(list) || list.length > ENTRIES_MAX) throw new ModuleProblem(`${field} of its manifest is no list of at most ${ENTRIES_MAX}`)
  return list.map((one: unknown) => {
    const { mediaType = '', digest, size, platform } = isObject(one) ? one : {}
    if (typeof mediaType !== 'string' || typeof digest !== 'string' || !DIGEST.test(digest) || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new ModuleProblem(`${field} of its manifest holds what is no descriptor with a sha256 digest`)
    return { mediaType, digest, bytes: size, platform: isObject(platform) ? platform : {} }
  })
}

/** Modules run anywhere; where an index has several, it is the one that says so, else that of the platform that most tools build for. */
function ofPlatform(all: readonly (Descriptor & { readonly platform: Json })[]): { readonly digest: string; readonly bytes: number } {
  // Attestations stand in an index as manifests of an unknown platform.
  const images = all.filter(({ platform }) => platform['os'] !== 'unknown')
  const chosen = images.find(({ platform }) => platform['architecture'] === 'wasm' || platform['os'] === 'wasip1' || platform['os'] === 'wasi') ?? images.find(({ platform }) => platform['os'] === 'linux' && platform['architecture'] === 'amd64') ?? images[0]
  if (chosen === undefined) throw new ModuleProblem('its index names no image')
  return { digest: chosen.digest, bytes: chosen.bytes }
}
