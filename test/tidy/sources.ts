import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'

/** Weft's own TypeScript, as paths from the root of the repository; generated code left out. */
export function sourceFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts', '*.tsx'], { encoding: 'utf8', maxBuffer: 1 << 26 })
  return listed.split('\n').filter((file) => file !== '' && !file.startsWith('core/wire/gen/') && existsSync(file))
}

export interface Import {
  /** From the repository's root when internal, else the specifier. */
  readonly path: string
  readonly internal: boolean
  readonly typeOnly: boolean
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\s+from\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

/** Static and dynamic imports of a file. */
export function importsOf(text: string, file: string): Import[] {
  return [...text.matchAll(STATEMENT)].map((found) => {
    const specifier = found[2] ?? found[3] ?? ''
    const typeOnly = found[1] !== undefined
    if (specifier.startsWith('#')) return { path: specifier.slice(1), internal: true, typeOnly }
    if (specifier.startsWith('.')) return { path: path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier)), internal: true, typeOnly }
    return { path: specifier, internal: false, typeOnly }
  })
}
