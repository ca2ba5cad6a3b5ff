/** Of all meshes, and of one. */
const BYTES_MAX = 256 * 1024 * 1024
const BYTES_OF_MESH_MAX = 96 * 1024 * 1024

interface Held {
  readonly meshId: string
  readonly bytes: Buffer
}

/**
 * Modules that were had, by mesh and digest: who has pulled a module in one mesh has proven nothing in another. What was not asked for longest goes first, of the mesh that has too much, or of all;
 * it is had again where it came from.
 */
export class HeldModules {
  readonly #bytesMax: number
  readonly #bytesOfMeshMax: number
  readonly #held = new Map<string, Held>()
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  constructor(bytesMax = BYTES_MAX, bytesOfMeshMax = BYTES_OF_MESH_MAX) {
    this.#bytesMax = bytesMax
    this.#bytesOfMeshMax = bytesOfMeshMax
  }

  get(meshId: string, sha256: string): Buffer | undefined {
    const key = `${meshId}/${sha256}`
    const held = this.#held.get(key)
    if (held === undefined) return undefined
    this.#held.delete(key)
    this.#held.set(key, held)
    return held.bytes
  }

  put(meshId: string, sha256: string, bytes: Buffer): void {
    if (this.get(meshId, sha256) !== undefined) return
    this.#held.set(`${meshId}/${sha256}`, { meshId, bytes })
    this.#count(meshId, bytes.length)
    // The newest stays, whatever its size.
    for (const [key, one] of [...this.#held].slice(0, -1)) {
      const tooMuchOfMesh = (this.#bytesOf.get(meshId) ?? 0) > this.#bytesOfMeshMax
      if (!tooMuchOfMesh && this.#bytes <= this.#bytesMax) break
      if (tooMuchOfMesh && one.meshId !== meshId) continue
      this.#held.delete(key)
      this.#count(one.meshId, -one.bytes.length)
    }
  }

  #count(meshId: string, bytes: number): void {
    this.#bytes += bytes
    const now = (this.#bytesOf.get(meshId) ?? 0) + bytes
    if (now > 0) this.#bytesOf.set(meshId, now)
    else this.#bytesOf.delete(meshId)
  }
}
