import { spawn } from 'node:child_process'
import { access, copyFile, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { partsCache } from './python-package.ts'

/** A Go program of ours that calls a peer's own code: its `go.mod.txt` (so named that Go's tools pass over this repository) and its one source file. */
export interface GoPeer {
  /** Name and version: what is built stays under it in the cache folder. */
  readonly name: string
  readonly module: string
  readonly source: string
}

/** The path of the program, and the folder of one of its modules. @throws Error with Go's own words when it cannot be had */
export async function installGoPeer({ name, module, source }: GoPeer): Promise<string> {
  const folder = join(partsCache(), name)
  const program = join(folder, 'program')
  try {
    await access(program)
    return program
  } catch {
    // Not built yet.
  }
  await mkdir(folder, { recursive: true })
  await copyFile(module, join(folder, 'go.mod'))
  await copyFile(source, join(folder, basename(source)))
  process.stderr.write(`${name}: building (some minutes)\n`)
  await go(folder, 'mod', 'tidy')
  await go(folder, 'build', '-o', program, '.')
  return program
}

/** Where Go keeps the source of a module that the peer needs. */
export const moduleFolder = async (name: string, module: string): Promise<string> => (await go(join(partsCache(), name), 'list', '-m', '-f', '{{.Dir}}', module)).trim()

function go(cwd: string, ...args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn('go', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let said = ''
    child.stdout.on('data', (text: Buffer) => (out += text.toString()))
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    child.on('error', failed)
    child.on('exit', (code) => (code === 0 ? done(out) : failed(new Error(`go ${args.join(' ')} ended with ${code}: ${said.slice(-2000)}`))))
  })
}
