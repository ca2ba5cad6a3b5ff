import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kubeApi } from '#api/kube/app.ts'
import { openApi, serveApp } from '#test/parts/api.ts'
import type { ApiUnderTest } from '#test/parts/api.ts'
import { startKube, withoutKube } from '#test/parts/kube.ts'
import type { Kube } from '#test/parts/kube.ts'
import { ask } from './asking.ts'
import type { HttpAccess } from './asking.ts'
import { differences } from './comparable.ts'
import { customResourceDefinitions } from './definitions.ts'
import { readSequences, tell } from './sequence.ts'
import type { Told } from './sequence.ts'

// One set of sequences, told to Weft and to the real API server; their answers are compared by meaning.
// Where the real one is not at hand, Weft alone is held to the codes and reasons that the sequences name.

const sequences = readSequences()
const documented = headings(readFileSync(fileURLToPath(new URL('../../docs/reference/kubernetes-differences.md', import.meta.url)), 'utf8'))
let api: ApiUnderTest
let served: { url: string; close(): Promise<void> }
let weft: HttpAccess
let kube: Kube | undefined

before(async () => {
  api = await openApi()
  served = await serveApp(kubeApi({ ...api.doors, rates: undefined }))
  weft = { url: `${served.url}/k8s/demo/shop`, headers: { authorization: `Bearer ${await api.key('owner')}` } }
  if (withoutKube !== false) return
  kube = await startKube('conformance', ['-controllers', 'namespace-controller,garbage-collector-controller', '-apiserver-arg=--etcd-compaction-interval=1s'])
  await define(kube.access)
})
after(async () => {
  await served.close()
  await api.close()
  await kube?.stop()
})

function headings(text: string): Set<string> {
  return new Set([...text.matchAll(/^## (.*)$/gm)].map(([, title = '']) => title))
}

async function define(access: HttpAccess): Promise<void> {
  const definitions = customResourceDefinitions()
  for (const definition of definitions) {
    const { code, text } = await ask(access, { method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', headers: { 'content-type': 'application/json' }, body: JSON.stringify(definition) })
    assert.equal(code, 201, text.slice(0, 2000))
  }
  // Established is not yet served: discovery says when it is.
  for (const definition of definitions) {
    const { group, names, versions } = definition['spec'] as { group: string; names: { plural: string }; versions: { name: string }[] }
    for (const { name } of versions) while ((await ask(access, { method: 'GET', path: `/apis/${group}/${name}/${names.plural}` })).code !== 200) await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

for (const [index, sequence] of sequences.entries()) {
  test(`${sequence.file}: ${sequence.sentence}`, async (context) => {
    const namespace = `told-${index}-apart`
    const own = await tell(weft, sequence, namespace)
    for (const { step, answer } of own) if (step.answer !== undefined) assert.equal(answer, step.weft ?? step.answer, `Weft: ${step.says}`)
    assert.deepEqual(api.unexpected, [])
    if (kube === undefined) {
      context.diagnostic(`Weft alone: ${String(withoutKube)}`)
      return
    }
    const real = await tell(kube.access, sequence, namespace)
    const found: string[] = []
    const everywhere = new Map(Object.entries(sequence.differs ?? {}).map(([path, title]) => [path, { title, isUsed: false }]))
    for (const [at, { step, answer, seen }] of real.entries()) found.push(...disagreements(step, { answer, seen }, own[at], everywhere))
    for (const [path, { title, isUsed }] of everywhere) found.push(...(isUsed ? [] : [`${path} differs nowhere any more`]), ...undocumented('the sequence', title))
    assert.deepEqual(found, [])
  })
}

type Everywhere = ReadonlyMap<string, { isUsed: boolean }>

function disagreements(step: Told['step'], real: Omit<Told, 'step'>, weftTold: Told | undefined, everywhere: Everywhere): string[] {
  const found: string[] = []
  if (step.answer !== undefined && real.answer !== step.answer) found.push(`${step.says}: the real server answers ${real.answer}, not ${step.answer}`)
  const excused = Object.entries(step.differs ?? {})
  const unused = new Set(excused.map(([path]) => path))
  for (const { path, real: theirs, weft: ours } of differences(real.seen, weftTold?.seen)) {
    const [excuse] = excused.find(([prefix]) => prefix === '*' || path === prefix || path.startsWith(`${prefix}.`)) ?? []
    const common = everywhere.get(path)
    if (excuse === undefined && common !== undefined) common.isUsed = true
    else if (excuse === undefined) found.push(`${step.says}: ${path}: real ${JSON.stringify(theirs)}, Weft ${JSON.stringify(ours)}`)
    else unused.delete(excuse)
  }
  for (const path of unused) found.push(`${step.says}: ${path} does not differ any more`)
  for (const [, title] of excused) found.push(...undocumented(step.says, title))
  return found
}

const undocumented = (says: string, title: string): string[] => (documented.has(title) ? [] : [`${says}: docs/reference/kubernetes-differences.md has no heading ${JSON.stringify(title)}`])
