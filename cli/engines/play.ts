import { existsSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RequestsFile, RequestTest } from '#core/contract/requests-file.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { systemDoors } from '#core/time/system.ts'
import { bundleProxies } from '#infra/build/bundle.ts'
import { ENVOY_NEWEST, installEnvoy } from '#infra/parts/envoy.ts'
import { CaseControlPlane } from './control-plane.ts'
import { whyNoNamespaces } from './hosts.ts'
import { play, type Verdict } from './judge.ts'
import { LiveCase, type OtherParts, PATIENCE_MS } from './live-case.ts'
import type { EngineParts } from './live-proxy.ts'
import { onExit } from './on-exit.ts'
import { needsCapture, Unplayable } from './observe.ts'

export interface Played {
  readonly name: string
  /** `skipped`: live proxies cannot show it, `why` says for what reason. */
  readonly result: 'pass' | 'fail' | 'skipped'
  readonly why: string
  readonly got: Verdict['got'] | undefined
}

/** A file of requests, read. */
export interface Script {
  readonly about: RequestsFile
  readonly objects: readonly ResourceObject[]
}

/** Live proxies of one engine, for any number of cases one after the other or a few at a time. */
export class Player {
  readonly #parts: EngineParts
  readonly #others: OtherParts | undefined
  readonly #plane: CaseControlPlane
  readonly #folder: string | undefined
  readonly #removeFolder = (): void => {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
  }
  readonly #takeBack: () => void
  readonly #patienceMs: number
  #count = 0
  /** Looked for when they are first needed. */
  #namespaces: { readonly lacking: string | undefined } | undefined

  private constructor(parts: EngineParts, others: OtherParts | undefined, plane: CaseControlPlane, folder: string | undefined, patienceMs: number) {
    this.#patienceMs = patienceMs
    this.#parts = parts
    this.#others = others
    this.#plane = plane
    this.#folder = folder
    this.#takeBack = onExit(this.#removeFolder)
    // A signal ends a process without its last words, and its proxies would outlive it.
    process.once('SIGTERM', exitNow)
    process.once('SIGINT', exitNow)
  }

  /**
   * Builds the bundled engine, or installs Envoy where it is not there yet.
   * @param patienceMs how long whatever must come is waited for: long, for what is slow and not wrong; short, for what is expected to be wrong
   * @param others workloads, by name, that the other engine serves
   */
  static async open(engine: 'weft' | 'envoy', envoyVersion: string = ENVOY_NEWEST, patienceMs = PATIENCE_MS, others: readonly string[] = []): Promise<Player> {
    const plane = await CaseControlPlane.start(systemDoors)
    try {
      const mixed = others.length > 0
      const envoy = mixed || engine === 'envoy' ? ({ kind: 'envoy', binary: await installEnvoy(envoyVersion) } as const) : undefined
      if (envoy !== undefined && !mixed) return new Player(envoy, undefined, plane, undefined, patienceMs)
      const folder = await mkdtemp(path.join(tmpdir(), 'weft-engine-'))
      const weft = { kind: 'weft', ...(await bundleProxies({ outDir: folder })) } as const
      if (envoy === undefined) return new Player(weft, undefined, plane, folder, patienceMs)
      const [parts, otherParts] = engine === 'envoy' ? [envoy, weft] : [weft, envoy]
      return new Player(parts, { parts: otherParts, names: others }, plane, folder, patienceMs)
    } catch (error) {
      await plane.close()
      throw error
    }
  }

  /** Starts the case's applications and proxies, plays its tests in order, and ends all. Nothing is started when none of them can be played. */
  async *play({ about, objects }: Script): AsyncGenerator<Played> {
    const tests = about.tests ?? []
    const id = `weft-test/${++this.#count}`
    const [captured = [], explicit = []] = [true, false].map((wanted) => tests.filter((one) => needsCapture(about, one) === wanted))
    yield* this.#playOn(explicit, id, () => LiveCase.start(systemDoors, this.#plane, this.#parts, { ...about, tests: explicit }, objects, { patienceMs: this.#patienceMs, others: this.#others }))
    if (captured.length === 0) return
    this.#namespaces ??= { lacking: whyNoNamespaces() }
    const lacking = this.#namespaces.lacking ?? whyNotOnHosts(about)
    yield* this.#playOn(lacking === undefined ? captured : captured.map((one) => ({ routerOnly: lacking, ...one })), `${id}.captured`, () => LiveCase.start(systemDoors, this.#plane, this.#parts, { ...about, tests: captured }, objects, { captured: true, patienceMs: this.#patienceMs, others: this.#others }))
  }

  async *#playOn(tests: readonly RequestTest[], id: string, start: () => Promise<LiveCase>): AsyncGenerator<Played> {
    const whyNot = (test: RequestTest): string | undefined => test.routerOnly ?? (this.#parts.kind === 'weft' ? test.envoyOnly : undefined)
    const live = tests.some((one) => whyNot(one) === undefined) ? await start() : undefined
    try {
      for (const [index, test] of tests.entries()) {
        const why = whyNot(test)
        if (live === undefined || why !== undefined) {
          yield { name: test.name, result: 'skipped', why: why ?? '', got: undefined }
          continue
        }
        if (test.weftOnly !== undefined && this.#parts.kind === 'envoy') {
          yield { name: test.name, result: 'skipped', why: test.weftOnly, got: undefined }
          continue
        }
        try {
          const { wrong, got } = await play(live, test, `${id}.${index}`)
          yield { name: test.name, result: wrong.length === 0 ? 'pass' : 'fail', why: wrong.slice(0, 4).join('; '), got }
        } catch (error) {
          if (!(error instanceof Unplayable)) throw error
          yield { name: test.name, result: 'skipped', why: error.message, got: undefined }
        }
      }
    } finally {
      await live?.stop()
    }
  }

  async close(): Promise<void> {
    process.removeListener('SIGTERM', exitNow).removeListener('SIGINT', exitNow)
    await this.#plane.close()
    this.#takeBack()
    this.#removeFolder()
  }
}

/** Why the workloads of a file cannot each be on a host of its own; undefined: they can. */
function whyNotOnHosts({ workloads = [] }: RequestsFile): string | undefined {
  const six = workloads.find(({ address = '', moreAddresses = [] }) => [address, ...moreAddresses].some((one) => one.includes(':')))
  return six === undefined || existsSync('/proc/sys/net/ipv6/conf/default/accept_dad') ? undefined : `this machine has no IPv6, and ${six.name} an address of it`
}

/** As shells report a death by signal. */
const exitNow = (signal: NodeJS.Signals): never => process.exit(128 + (signal === 'SIGINT' ? 2 : 15))
