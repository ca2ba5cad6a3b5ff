/** Why a module cannot be had, in words for whoever wrote its URL: no secret is in them, and no address with a signature. */
export class ModuleProblem extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ModuleProblem'
  }
}

/** A module, and each layer that may hold one. Modules have some megabytes; larger ones cost every proxy as much memory. */
export const MODULE_BYTES_MAX = 32 * 1024 * 1024
