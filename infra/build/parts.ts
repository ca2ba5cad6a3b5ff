import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleControlPlane, bundleProxies } from './bundle.ts'
import { buildConsole } from './console.ts'

/** What one state of the sources was built into. */
export interface BuiltParts {
  /** Files to run with Node. */
  readonly proxy: string
  readonly gateway: string
  /** Modules to import: `cli/up/run.ts` and `cli/up/serve.ts` with all that they need. */
  readonly up: string
  readonly server: string
  readonly consoleDir: string
  /** Sources had changed, or nothing had been built yet. */
  readonly fresh: boolean
}

const root = path.join(import.meta.dirname, '../..')
const dist = path.join(root, 'dist')
const recordFile = path.join(dist, 'built.json')
/** Whatever is built also depends on these. */
const alsoRead = ['package-lock.json', 'tsconfig.json', 'console/index.html', 'console/icon.svg', 'infra/build/parts.ts', 'infra/build/bundle.ts', 'infra/build/console.ts']
/** Builds that are kept: a process that runs from an older one may still load parts of it. */
const buildsKept = 8
const draftKeptMs = 600_000

interface BuildRecord {
  /** Hash of the inputs' contents. */
  readonly key: string
  /** Sources that went in, relative to the root; of installed packages the lockfile speaks. */
  readonly inputs: readonly string[]
}

/**
 * Builds sidecar, gateway, control plane and console, unless the newest build is of the very same sources.
 * Each build has a folder of its own, named by its content, so that processes which run from another one are not disturbed.
 */
export async function builtParts(): Promise<BuiltParts> {
  const known = readRecord()
  if (known !== undefined && existsSync(folderOf(known.key)) && hashOf(known.inputs) === known.key) return partsIn(folderOf(known.key), false)
  const startedMs = Date.now()
  await mkdir(dist, { recursive: true })
  const draft = await mkdtemp(path.join(dist, 'draft-'))
  try {
    const [proxies, plane, page] = await Promise.all([bundleProxies({ outDir: draft }), bundleControlPlane({ outDir: draft }), buildConsole(path.join(draft, 'console'))])
    const inputs = [...new Set([...Object.keys(proxies.metafile.inputs), ...Object.keys(plane.inputs), ...page.inputs, ...alsoRead])].filter((file) => !file.includes('node_modules/') && !/^(<|builtin:)/.test(file)).sort()
    const key = hashOf(inputs) ?? ''
    const folder = folderOf(key)
    await rename(draft, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error // else the same was built at the same time
    })
    // What was edited while it was read may be in the hash and not in the build: then the next start builds again.
    if (inputs.every((file) => statSync(path.join(root, file)).mtimeMs < startedMs)) await writeRecord({ key, inputs })
    await removeOldBuilds(folder)
    return partsIn(folder, true)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

const folderOf = (key: string): string => path.join(dist, `build-${key.slice(0, 16)}`)

const partsIn = (folder: string, fresh: boolean): BuiltParts => ({
  proxy: path.join(folder, 'proxy.mjs'),
  gateway: path.join(folder, 'gateway.mjs'),
  up: path.join(folder, 'up.mjs'),
  server: path.join(folder, 'server.mjs'),
  consoleDir: path.join(folder, 'console'),
  fresh,
})

/** Undefined when one of them is gone. */
function hashOf(inputs: readonly string[]): string | undefined {
  const hash = createHash('sha256').update(root).update(process.version)
  try {
    for (const file of inputs) hash.update(file).update('\0').update(readFileSync(path.join(root, file))).update('\0')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return hash.digest('hex')
}

function readRecord(): BuildRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordFile, 'utf8')) as BuildRecord
  } catch {
    // Nothing built yet, or half-written by a crash: build.
    return undefined
  }
}

async function writeRecord(record: BuildRecord): Promise<void> {
  const draft = `${recordFile}.${process.pid}`
  await writeFile(draft, JSON.stringify(record))
  await rename(draft, recordFile)
}

async function removeOldBuilds(newest: string): Promise<void> {
  const folders = (await readdir(dist)).filter((name) => /^(build|draft)-/.test(name)).map((name) => path.join(dist, name))
  const ages = await Promise.all(folders.map(async (folder) => ({ folder, mtimeMs: (await stat(folder).catch(() => undefined))?.mtimeMs ?? 0 })))
  const old = ages.filter(({ folder }) => folder !== newest && path.basename(folder).startsWith('build-')).sort((a, b) => b.mtimeMs - a.mtimeMs).slice(buildsKept - 1)
  // A build that was interrupted.
  const left = ages.filter(({ folder, mtimeMs }) => path.basename(folder).startsWith('draft-') && Date.now() - mtimeMs > draftKeptMs)
  await Promise.all([...old, ...left].map(({ folder }) => rm(folder, { recursive: true, force: true })))
}

if (import.meta.main) {
  const parts = await builtParts()
  process.stdout.write(`${path.dirname(parts.proxy)}${parts.fresh ? '' : ' (of these very sources already)'}\n`)
}
