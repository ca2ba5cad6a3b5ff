import { createHash } from 'node:crypto'
import type { ModuleOrigin } from '#api/model/modules.ts'
import type { WasmModule } from '#core/resource/wasm.ts'
import { moduleIn } from './layer.ts'
import { readManifest } from './manifest.ts'
import { MODULE_BYTES_MAX, ModuleProblem } from './problem.ts'
import type { Credentials } from './pull-secret.ts'
import { readReference } from './reference.ts'
import { getOutside, type OutsideDoors, Repository } from './registry.ts'

/** A module that was had. */
export interface Pulled {
  readonly bytes: Buffer
  /** Of the module, hexadecimal. */
  readonly sha256: string
  readonly origin: ModuleOrigin
}

/** An index leads to an image; one index within another is nobody's. */
const MANIFESTS_MAX = 2

type Asked = Pick<WasmModule, 'url' | 'sha256'>

/** The module that a URL leads to: an image of a registry, or an answer over HTTP. `credentialsFor`: those for a registry, by its host. @throws ModuleProblem */
export async function pull(asked: Asked, credentialsFor: (registry: string) => Credentials | undefined, doors: OutsideDoors): Promise<Pulled> {
  if (/^https?:\/\//i.test(asked.url)) return pulled(await download(asked.url, doors), { url: asked.url })
  const image = readReference(asked.url)
  const repository = new Repository(image, credentialsFor(image.registry), doors)
  const digests: string[] = []
  let reference = image.reference
  for (let manifests = 0; manifests < MANIFESTS_MAX; manifests++) {
    const { bytes, digest, mediaType } = await repository.manifest(reference)
    digests.push(digest)
    const leads = readManifest(bytes, mediaType)
    reference = leads.digest
    if (leads.to === 'manifest') continue
    // The digest of an image is that of its manifest: of the index, or of the image that it leads to.
    if (asked.sha256 && !digests.includes(`sha256:${asked.sha256}`)) throw new ModuleProblem(`its digest is ${digests.join(', that of its image ')}, and not that of sha256`)
    return pulled(await repository.blob(leads.digest, leads.bytes), { registry: image.registry, repository: image.repository, layer: leads.digest, bytes: leads.bytes })
  }
  throw new ModuleProblem('its index leads to another index')
}

/** A module that was had before, from where it was. @throws ModuleProblem when it is another by now */
export async function pullAgain(origin: ModuleOrigin, sha256: string, credentialsFor: (registry: string) => Credentials | undefined, doors: OutsideDoors): Promise<Pulled> {
  const again = 'url' in origin ? await pulled(await download(origin.url, doors), origin) : await pulled(await new Repository(origin, credentialsFor(origin.registry), doors).blob(origin.layer, Math.min(origin.bytes, MODULE_BYTES_MAX)), origin)
  if (again.sha256 !== sha256) throw new ModuleProblem('what is there by now is another module')
  return again
}

async function pulled(layer: Buffer, origin: ModuleOrigin): Promise<Pulled> {
  const bytes = await moduleIn(layer)
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex'), origin }
}

async function download(url: string, doors: OutsideDoors): Promise<Buffer> {
  const place = URL.parse(url)
  if (place === null) throw new ModuleProblem('it is no URL')
  const { status, body } = await getOutside(place, { accept: '*/*' }, MODULE_BYTES_MAX, doors)
  if (status !== 200) throw new ModuleProblem(`${place.host} answers ${status}`)
  return body
}
