import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { describeFault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { seededRandom } from '#core/time/seeded.ts'
import { installGoPeer, moduleFolder } from '#infra/parts/go-peer.ts'
import { changed, Pools } from './istio/change.ts'
import { knownObjects } from './istio/objects.ts'

const PEER = { name: 'istio-judge-eed52ebb66ad', module: join(import.meta.dirname, 'istio/peer/go.mod.txt'), source: join(import.meta.dirname, 'istio/peer/judge.go') }

interface Judged {
  readonly verdict: string
  readonly words: string
}

/**
 * `npm run bench -- istio [--objects 20000] [--seed 1] [--show 40]`: shows known objects, and as many made by changing them, to Istio's own validation (webhook and CRDs, built by Go from its module) and to Weft's.
 * Prints the share of equal verdicts by kind, and what differs, grouped.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { objects: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' }, show: { type: 'string', default: '40' } } })
  const shown = objects(Number(values.objects), Number(values.seed))
  const theirs = await judgedByIstio(shown.map((one) => one.object))
  const kinds = new Map<string, { all: number; equal: number }>()
  const groups = new Map<string, string[]>()
  for (const [index, { object, how }] of shown.entries()) {
    const their = theirs.get(String(index))
    if (their === undefined || their.verdict === 'unknown') continue
    const ours = judgedByWeft(object)
    const kind = kinds.get(object.kind) ?? { all: 0, equal: 0 }
    kinds.set(object.kind, { all: kind.all + 1, equal: kind.equal + (ours.verdict === their.verdict ? 1 : 0) })
    if (ours.verdict === their.verdict) continue
    const why = their.verdict === 'accept' ? ours.words : their.words
    const group = `${object.kind}: Istio ${their.verdict}, here ${ours.verdict}: ${why.replace(/"[^"]*"|\d+|\s+/g, ' ').slice(0, 100)}`
    groups.set(group, [...(groups.get(group) ?? []), `${how}: Istio: ${their.words.replace(/\s+/g, ' ').slice(0, 160)}; here: ${ours.words.slice(0, 160)}`])
  }
  for (const [kind, { all, equal }] of kinds) console.log(`${kind.padEnd(24)} ${String(equal).padStart(6)} of ${String(all).padStart(6)}  ${((100 * equal) / all).toFixed(2)} %`)
  const [all, equal] = [...kinds.values()].reduce(([a, e], one) => [a + one.all, e + one.equal], [0, 0])
  console.log(`${'all'.padEnd(24)} ${String(equal).padStart(6)} of ${String(all).padStart(6)}  ${((100 * equal) / all).toFixed(2)} %\n`)
  for (const [group, examples] of [...groups].sort(([, a], [, b]) => b.length - a.length).slice(0, Number(values.show))) console.log(`${examples.length} × ${group}\n    ${examples[0]}`)
}

function objects(count: number, seed: number): { readonly object: ResourceObject; readonly how: string }[] {
  const known = knownObjects()
  const byKind = [...Map.groupBy(known, (one) => one.kind).values()]
  const pools = new Pools(known)
  const random = seededRandom(seed)
  const made = known.map((object) => ({ object, how: 'as it is' }))
  while (made.length < count) {
    const kind = byKind[Math.floor(random.draw() * byKind.length)] ?? []
    const from = kind[Math.floor(random.draw() * kind.length)]
    const one = from === undefined ? undefined : changed(from, pools, random)
    if (one !== undefined) made.push(one)
  }
  return made
}

function judgedByWeft(object: ResourceObject): Judged {
  const { object: taken, faults } = parseObject(object, { defaultNamespace: 'default' })
  return { verdict: taken === undefined ? 'reject' : faults.length > 0 ? 'warn' : 'accept', words: faults.map(describeFault).join(' | ') }
}

async function judgedByIstio(all: readonly ResourceObject[]): Promise<Map<string, Judged>> {
  const program = await installGoPeer(PEER)
  const source = await moduleFolder(PEER.name, 'istio.io/istio')
  const child = spawn(program, [join(source, 'manifests/charts/base/files/crd-all.gen.yaml')], { stdio: ['pipe', 'ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  child.stdin?.end(all.map((object, index) => `${JSON.stringify({ id: String(index), object })}\n`).join(''))
  const judged = new Map<string, Judged>()
  for await (const line of createInterface({ input: child.stdio[3] as Readable })) {
    const { id, verdict, words = '' } = JSON.parse(line) as { id: string; verdict: string; words?: string }
    judged.set(id, { verdict, words })
  }
  await ended
  return judged
}
