import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type World, worldOf } from '#api/simulate/world.ts'
import { workloadFrom } from '#api/simulate/workload-words.ts'
import { routerDifferences } from '#cli/router-differences.ts'
import { asked } from '#cli/question.ts'
import { makeTokens } from '#cli/tokens.ts'
import { Player, type Script } from '#cli/engines/play.ts'
import { configBeside, readConfiguration, readRequestsFile, worldSettings } from '#cli/offline.ts'

const cases = path.resolve(import.meta.dirname, '../../api/translate/cases')

/** Cases with requests, by name. */
export const goldenCases = (): string[] => readdirSync(cases).filter((name) => existsSync(path.join(cases, name, 'requests.yaml'))).sort()

export const caseFile = (name: string, file: string): string => path.join(cases, name, file)

export async function scriptOf(name: string): Promise<Script> {
  const file = caseFile(name, 'requests.yaml')
  const about = readRequestsFile({ name: file, text: readFileSync(file, 'utf8') })
  return { about, objects: (await readConfiguration(configBeside(file, about))).objects }
}

export const worldOfScript = ({ about, objects }: Script): World => worldOf({ objects, workloads: (about.workloads ?? []).map(workloadFrom), assumesCredentials: true, ...worldSettings(about) })

/** Every request of every case, asked of the router: nothing is started. */
export function routerSuite(): void {
  for (const name of goldenCases()) {
    test(name, async () => {
      const script = await scriptOf(name)
      const world = worldOfScript(script)
      const tokens = makeTokens(script.about.tokens, Date.now())
      for (const one of script.about.tests ?? []) assert.deepEqual(routerDifferences(one, asked(world, one, tokens)), [], one.name)
    })
  }
}

/** The same requests through live proxies, two cases at a time: a test a case, whose message names each request that became something else. */
export function liveSuite(engine: 'weft' | 'envoy', envoyVersion?: string): void {
  describe('requests', { concurrency: 2 }, () => {
    let player: Player
    before(async () => void (player = await Player.open(engine, envoyVersion)))
    after(() => player.close())
    for (const name of goldenCases()) {
      test(name, { timeout: 900_000 }, async (context) => {
        const wrong: string[] = []
        for await (const one of player.play(await scriptOf(name))) {
          if (one.result === 'fail') wrong.push(`${one.name}: ${one.why}`)
          if (one.result === 'skipped') context.diagnostic(`not played: ${one.name}: ${one.why}`)
        }
        assert.deepEqual(wrong, [])
      })
    }
  })
}
