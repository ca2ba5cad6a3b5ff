import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { MODULE_BYTES_MAX, ModuleProblem } from './problem.ts'

/** The file that holds the module, in an image. */
const FILE = 'plugin.wasm'
/** A module and what little may lie beside it. */
const FILES_BYTES_MAX = MODULE_BYTES_MAX + 8 * 1024 * 1024
const BLOCK = 512
const MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d])
const unzip = promisify(gunzip)

/**
 * The module in a layer, or in what a server answered: as it stands, or as the file `plugin.wasm` of an archive, zipped or not.
 * @throws ModuleProblem when there is none
 */
export async function moduleIn(layer: Buffer): Promise<Buffer> {
  const files = layer[0] === 0x1f && layer[1] === 0x8b ? await unzipped(layer) : layer
  if (isModule(files)) return bounded(files)
  const module = fileIn(files)
  if (module === undefined) throw new ModuleProblem(`it is neither a module nor an archive with a file ${FILE}`)
  if (!isModule(module)) throw new ModuleProblem(`its ${FILE} is no WebAssembly module`)
  return bounded(module)
}

const isModule = (bytes: Buffer): boolean => bytes.subarray(0, 4).equals(MAGIC)

function bounded(module: Buffer): Buffer {
  if (module.length > MODULE_BYTES_MAX) throw new ModuleProblem(`the module has ${module.length} bytes, and at most ${MODULE_BYTES_MAX} are taken`)
  return module
}

async function unzipped(bytes: Buffer): Promise<Buffer> {
  try {
    return await unzip(bytes, { maxOutputLength: FILES_BYTES_MAX })
  } catch (error) {
    const tooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    throw new ModuleProblem(tooLarge ? `its files have more than ${FILES_BYTES_MAX} bytes` : 'its layer cannot be unzipped', error)
  }
}

/** The file of a tar archive (POSIX.1-2017, pax, "ustar Interchange Format"); a copy, so that what lies beside it is let go. */
function fileIn(archive: Buffer): Buffer | undefined {
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const head = archive.subarray(at, at + BLOCK)
    const name = textOf(head, 0, 100)
    if (name === '' && head.every((byte) => byte === 0)) return undefined
    const size = textOf(head, 124, 12).trim()
    if (!/^[0-7]{1,11}$/.test(size)) throw new ModuleProblem('its layer is no archive that can be read')
    const bytes = Number.parseInt(size, 8)
    const type = head[156]
    if ((type === 0 || type === 0x30) && name.slice(name.lastIndexOf('/') + 1) === FILE) {
      if (at + BLOCK + bytes > archive.length) throw new ModuleProblem('its layer is an archive that ends too early')
      return Buffer.from(archive.subarray(at + BLOCK, at + BLOCK + bytes))
    }
    at += BLOCK + Math.ceil(bytes / BLOCK) * BLOCK
  }
  return undefined
}

function textOf(head: Buffer, at: number, length: number): string {
  const field = head.subarray(at, at + length)
  const end = field.indexOf(0)
  return field.subarray(0, end === -1 ? length : end).toString('latin1')
}
