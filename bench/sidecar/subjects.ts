import { join } from 'node:path'
import type { Bed, Subject } from './bed.ts'
import { bootstrap, envoyCommand, WEFT, write } from './bed.ts'
import { workloadCertificates } from './certificates.ts'
import type { BenchFiles, Resources } from './config.ts'
import { peers } from './peers.ts'
import { calledResources, callerResources, plainResources } from './config.ts'

/** Where the application answers HTTP/1.1. */
export const BACKEND = 21180

/** One Envoy and one Weft, each on a port of its own, on the same resources. `title` names the files. */
export function singleSubjects({ folder, envoy, node }: Bed, title: string, port: number, resources: (port: number, log: string) => Resources): Subject[] {
  const weft = resources(port + 1, join(folder, 'weft.log'))
  const subjects: Subject[] = [{ name: 'weft', port: port + 1, commands: [[...node, WEFT, write(folder, `weft-${title}.json`, weft)]] }]
  if (envoy === undefined) return subjects
  const config = write(folder, `envoy-${title}.json`, bootstrap(title, resources(port, join(folder, 'envoy.log'))))
  return [{ name: 'envoy', port, commands: [envoyCommand(envoy, config, 1)] }, ...subjects]
}

/** HTTP/1.1 in plaintext; nginx and HAProxy beside. */
export async function plainSubjects(bed: Bed): Promise<Subject[]> {
  const own = singleSubjects(bed, 'plain', 21101, (port, log) => plainResources(port, BACKEND, log))
  return [...own.slice(0, -1), ...(await peers(bed, 21103, BACKEND)), ...own.slice(-1)]
}

/** The caller's and the called sidecar with mutual TLS between them, over HTTP/1.1 and over HTTP/2. */
export function pairSubjects({ folder, envoy, node }: Bed): Subject[] {
  const { client, server } = workloadCertificates(folder)
  const weft = (name: string, resources: Resources, files: BenchFiles): string[] => [...node, WEFT, write(folder, `weft-${name}.json`, resources), files.certificate, files.key, files.roots]
  const subjects: Subject[] = []
  let port = 21111
  for (const http2 of [false, true]) {
    const suffix = http2 ? 'h2' : 'h1'
    const pair = (name: string, make: (called: Resources, caller: Resources) => (readonly string[])[], files: { client: BenchFiles; server: BenchFiles } | undefined): void => {
      const called = calledResources(port, BACKEND, join(folder, `${name}-called.log`), files?.server, http2)
      const caller = callerResources(port + 1, port, join(folder, `${name}-caller.log`), files?.client, http2)
      subjects.push({ name: `${name} ${suffix}`, port: port + 1, commands: make(called, caller) })
      port += 2
    }
    if (envoy !== undefined) {
      const command = (side: string, resources: Resources, id: number): string[] => envoyCommand(envoy, write(folder, `envoy-${suffix}-${side}.json`, bootstrap(side, resources)), id)
      pair('envoy', (called, caller) => [command('called', called, port), command('caller', caller, port + 1)], { client, server })
    }
    pair('weft', (called, caller) => [weft(`${suffix}-called`, called, server), weft(`${suffix}-caller`, caller, client)], undefined)
  }
  return subjects
}
