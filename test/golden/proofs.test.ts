import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { routerDifferences } from '#cli/router-differences.ts'
import { asked } from '#cli/question.ts'
import { makeTokens } from '#cli/tokens.ts'
import { Player, type Script } from '#cli/engines/play.ts'
import { Faults } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { parseObject } from '#core/resource/parse.ts'
import { kinds } from '#core/resource/registry.ts'
import { supportOf } from '#core/resource/support.ts'
import { goldenCases, scriptOf, worldOfScript, caseFile } from './golden-suite.ts'

/** What does not come is the expected here: who waits for it no longer than this takes a slow machine for a field that is felt, never the other way round. */
const SHORT_MS = 8000

/** What a case says it proves must be felt: without the field, some request of the case becomes something else. */
describe('golden cases prove what they say', { concurrency: 2 }, () => {
  let player: Player
  let envoy: Promise<Player> | undefined
  before(async () => void (player = await Player.open('weft', undefined, SHORT_MS)))
  after(async () => {
    await player.close()
    await (await envoy)?.close()
  })
  for (const name of goldenCases()) {
    const { proves = [] } = parse(readFileSync(caseFile(name, 'case.yaml'), 'utf8')) as { readonly proves?: readonly string[] }
    if (proves.length === 0) continue
    test(name, { timeout: 600_000 + proves.length * 120_000 }, async () => {
      const script = await scriptOf(name)
      const unfelt: string[] = []
      for (const claim of proves) {
        const lacking = withoutField(script, claim)
        assert.notDeepEqual(lacking.objects, script.objects, `${claim}: no object of the case has it`)
        if (routerFeels(lacking)) continue
        const engine = onEnvoyAlone(claim) ? await (envoy ??= Player.open('envoy', undefined, SHORT_MS)) : player
        if (!(await everFelt(engine, lacking))) unfelt.push(claim)
      }
      assert.deepEqual(unfelt, [])
    })
  }
})

/** The bundled proxy would not miss it. */
function onEnvoyAlone(claim: string): boolean {
  const [word = '', path = ''] = claim.split(' ')
  return kinds.some((one) => one.kind === word && supportOf(one, path) === 'Envoy')
}

function routerFeels(script: Script): boolean {
  try {
    const world = worldOfScript(script)
    const tokens = makeTokens(script.about.tokens, Date.now())
    return (script.about.tests ?? []).some((one) => routerDifferences(one, asked(world, one, tokens)).length > 0)
  } catch (error) {
    // A world that lacks what its requests name is not as expected, nor is a configuration that is refused; any other has an answer, or the translation is wrong.
    if (isNotFound(error) || isRefused(script)) return true
    throw error
  }
}

const isNotFound = (error: unknown): boolean => error instanceof Faults && error.faults.every((one) => one.code === 'object.not-found')

/** Whether the rules of some object's kind are against it. */
const isRefused = ({ objects }: Script): boolean => objects.some((one) => parseObject(one, { defaultNamespace: 'default' }).faults.some((fault) => fault.severity === 'error'))

/** Where chance decides which workload answers, a configuration without the field can look right once: it is asked again. */
async function everFelt(player: Player, script: Script): Promise<boolean> {
  for (let round = 0; round < 4; round++) if (await proxiesFeel(player, script)) return true
  return false
}

/** What only traffic shows: answers, attempts, times. */
async function proxiesFeel(player: Player, script: Script): Promise<boolean> {
  for await (const one of player.play(script)) if (one.result === 'fail') return true
  return false
}

/** `KIND PATH`, a path of `schemaFields`: taken out of every object of the kind. */
function withoutField({ about, objects }: Script, claim: string): Script {
  const [kind = '', path = ''] = claim.split(' ')
  const steps = path.split('.').flatMap((part) => [part.replace(/(\[\]|\{\})+$/, ''), ...(part.match(/\[\]|\{\}/g) ?? [])])
  return { about, objects: objects.map((one) => (one.kind === kind ? (without(one, steps) as ResourceObject) : one)) }
}

function without(value: unknown, steps: readonly string[]): unknown {
  const [step = '', ...rest] = steps
  if (steps.length === 0 || value === null || typeof value !== 'object') return steps.length === 0 ? undefined : value
  if (step === '[]') return Array.isArray(value) && rest.length > 0 ? value.map((one) => without(one, rest)) : undefined
  const names = step === '{}' ? Object.keys(value) : [step]
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => {
      const left: unknown = names.includes(name) ? without(one, rest) : one
      return left === undefined ? [] : [[name, left]]
    }),
  )
}
