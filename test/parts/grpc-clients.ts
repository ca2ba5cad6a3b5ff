import { spawn } from 'node:child_process'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

const sources = join(import.meta.dirname, '../peers/grpc-clients')
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft-test')
const grpcioVersion = '1.75.1'

/** How one kind of gRPC client is started; undefined where what it needs is not there. */
export type ClientCommand = readonly [command: string, ...parameters: string[]]

/** @grpc/grpc-js-xds, which npm has installed. */
export const jsClient = (): Promise<ClientCommand | undefined> => Promise.resolve([process.execPath, join(sources, 'client.mjs')])

/** grpcio from PyPI, in a virtual environment of its own under the cache folder. */
export async function pythonClient(): Promise<ClientCommand | undefined> {
  const home = join(cache, `grpcio-${grpcioVersion}`)
  if (!(await exists(join(home, 'bin/python')))) {
    process.stderr.write(`grpcio ${grpcioVersion}: installing\n`)
    await mkdir(cache, { recursive: true })
    // A virtual environment knows its own path, so it is made in place.
    if (!(await run('python3', ['-m', 'venv', home]))) return undefined
    if (!(await run(join(home, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `grpcio==${grpcioVersion}`]))) {
      await rm(home, { recursive: true, force: true })
      return undefined
    }
  }
  return [join(home, 'bin/python'), join(sources, 'client.py')]
}

/** A grpcio server with xDS, from the same environment. */
export async function pythonServer(): Promise<ClientCommand | undefined> {
  const client = await pythonClient()
  return client && [client[0], join(sources, 'server.py')]
}

/** grpc-go, built where Go is installed. */
export const goClient = (): Promise<ClientCommand | undefined> => goProgram('.', 'grpc-go-client-1.76.0-csds')

/** A grpc-go server with xDS. */
export const goServer = (): Promise<ClientCommand | undefined> => goProgram('./server', 'grpc-go-server-1.76.0')

async function goProgram(of: string, name: string): Promise<ClientCommand | undefined> {
  const binary = join(cache, name)
  if (await exists(binary)) return [binary]
  process.stderr.write(`${name}: building\n`)
  await mkdir(cache, { recursive: true })
  const draft = `${binary}.${process.pid}`
  if (!(await run('go', ['build', '-o', draft, of], join(sources, 'go')))) return undefined
  await rename(draft, binary)
  return [binary]
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false)

/** Whether it ended well. */
function run(command: string, parameters: readonly string[], cwd?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, parameters, { stdio: ['ignore', 'inherit', 'inherit'], ...(cwd === undefined ? {} : { cwd }) })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
  })
}
