import { homedir } from 'node:os'
import path from 'node:path'

/** What can be made anew is kept here: compiled code, database templates. */
export const cacheFolder = (): string => path.join(process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache'), 'weft')
