import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Clock, Timer } from '#core/time/clock.ts'
import { describeError, type Log } from '../admin/log.ts'
import type { PlanCell } from './plan-cell.ts'
import { decodeSaved, encodeSaved } from './raw-resources.ts'

/** Changes that come together are written once; a mesh in motion costs one write in this time. */
const QUIET_MS = 2000

/**
 * The last good configuration, on disk, from which a proxy starts when the control plane is away. No secret and no key is ever in it.
 * One file, replaced whole: a crash leaves the old one or the new one.
 */
export class LastGood {
  readonly #clock: Clock
  readonly #file: string
  readonly #nodeId: string
  readonly #cell: PlanCell
  readonly #log: Log
  #pending: Timer | undefined
  #writing = false

  constructor(clock: Clock, directory: string, nodeId: string, cell: PlanCell, log: Log) {
    this.#clock = clock
    this.#file = path.join(directory, 'last-good.binpb')
    this.#nodeId = nodeId
    this.#cell = cell
    this.#log = log
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** Writes soon after each change, once the first configuration is whole. */
  keep(): void {
    this.#cell.whenWarm(() => {
      this.#schedule()
      this.#cell.onChange(() => this.#schedule())
    })
  }

  /** Something was saved, by this proxy or another. */
  get isKept(): boolean {
    return existsSync(this.#file)
  }

  /** Hands the saved configuration to the cell. False when there is none, or another proxy's, or it cannot be read. */
  restore(): boolean {
    let bytes: Uint8Array
    try {
      bytes = readFileSync(this.#file)
    } catch {
      // No file: the first start on this machine.
      return false
    }
    try {
      const saved = decodeSaved(bytes)
      if (saved.nodeId !== this.#nodeId) return false
      this.#cell.restore(saved.revision, saved.byType)
      this.#log.warn('plan.restored', { revision: saved.revision, file: this.#file })
      return true
    } catch (error) {
      this.#log.error('plan.restore-failed', { file: this.#file, error: describeError(error) })
      return false
    }
  }

  stop(): void {
    this.#pending?.cancel()
  }

  #schedule(): void {
    this.#pending ??= this.#clock.after(QUIET_MS, () => void this.#write())
  }

  async #write(): Promise<void> {
    this.#pending = undefined
    if (this.#writing) {
      this.#schedule()
      return
    }
    this.#writing = true
    const next = `${this.#file}.next`
    try {
      await writeFile(next, encodeSaved(this.#nodeId, this.#cell.revision, this.#cell.raw), { mode: 0o600 })
      renameSync(next, this.#file)
    } catch (error) {
      this.#log.error('plan.save-failed', { file: this.#file, error: describeError(error) })
    } finally {
      this.#writing = false
    }
  }
}
