import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const consoleDirectory = path.join(root, 'dist/console')

export interface ConsoleBuild {
  readonly directory: string
  /** All files together, compressed: what a first visit costs. */
  readonly gzipBytes: number
  /** Sources that went in, relative to the repository's root. */
  readonly inputs: readonly string[]
}

/**
 * Bundles `console/` into `directory`: index.html, and beside it a script, a style sheet and an icon whose names hold their content's hash.
 * Nothing is fetched from elsewhere, and no script or style is inline, so that the page works under `default-src 'self'`.
 */
export async function buildConsole(directory: string = consoleDirectory): Promise<ConsoleBuild> {
  const room = path.join(root, 'console')
  const result = await build({
    absWorkingDir: root,
    entryPoints: [path.join(room, 'main.tsx'), path.join(room, 'style/app.css')],
    bundle: true,
    write: false,
    outdir: directory,
    entryNames: 'app-[hash]',
    format: 'esm',
    target: ['chrome119', 'firefox121', 'safari17.4'],
    jsx: 'automatic',
    minify: true,
    legalComments: 'none',
    define: { 'process.env.NODE_ENV': '"production"' },
    metafile: true,
    logLevel: 'warning',
  })
  const files = new Map(result.outputFiles.map((file) => [path.basename(file.path), file.contents]))
  const icon = await readFile(path.join(room, 'icon.svg'))
  const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8).toUpperCase()}.svg`
  files.set(iconName, icon)
  const named = (extension: string): string => [...files.keys()].find((name) => name.endsWith(extension)) ?? ''
  const page = (await readFile(path.join(room, 'index.html'), 'utf8')).replace('%ICON%', `./${iconName}`).replace('%STYLE%', `./${named('.css')}`).replace('%SCRIPT%', `./${named('.js')}`)
  files.set('index.html', Buffer.from(page))
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  for (const [name, bytes] of files) await writeFile(path.join(directory, name), bytes)
  return { directory, gzipBytes: [...files.values()].reduce((sum, bytes) => sum + gzipSync(bytes).length, 0), inputs: Object.keys(result.metafile.inputs) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = await buildConsole()
  process.stderr.write(`${built.directory}: ${(built.gzipBytes / 1024).toFixed(1)} KB compressed\n`)
}
