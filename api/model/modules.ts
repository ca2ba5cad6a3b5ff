import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { WasmModule } from '#core/resource/wasm.ts'

/** The ConfigMap of a namespace in which the control plane keeps what the URLs of its plugins' modules led to: beside the objects, so that every replica translates the same, and a restart asks nobody. */
export const MODULES = 'weft-modules'

/** The path below which a proxy has a module from the control plane: `/modules/NAMESPACE/MEMBER/SHA256`. */
export const MODULES_PATH = '/modules/'

/** Where the bytes are had again, once it is known what they are: an image's layer by its digest, or the URL itself. */
export type ModuleOrigin = { readonly registry: string; readonly repository: string; readonly layer: string; readonly bytes: number } | { readonly url: string }

/** What became of a module's URL. */
export interface ModuleState {
  /** The object's. One that is made anew under the same name begins from nothing. */
  readonly uid: string
  /** What was asked for, as `askedOf` says it. */
  readonly of: string
  /** Of the object as it was then: what is always pulled is pulled again when it changes. */
  readonly revision: number
  /** Of the module itself; absent: it was never had. */
  readonly sha256?: string
  readonly origin?: ModuleOrigin
  /** Why the last try failed; absent: it did not. */
  readonly error?: string
}

/** The name of an object's member in the ConfigMap. */
export const moduleMember = (kind: string, name: string): string => `${kind === 'WasmPlugin' ? 'plugin' : 'extension'}.${name}`

/** Whether it is a file of the proxy's own. */
export const isOwnFile = ({ url }: Pick<WasmModule, 'url'>): boolean => /^file:\/\//i.test(url)

/** Whether the control plane fetches it for the proxies: all but a file of theirs, and what they fetch themselves since its digest says what it is. */
export const isFetchedHere = ({ url, sha256 }: Pick<WasmModule, 'url' | 'sha256'>): boolean => !isOwnFile({ url }) && !(/^https?:\/\//i.test(url) && URL.canParse(url) && sha256 !== undefined && sha256 !== '')

/** All that decides which module it is. */
export const askedOf = ({ url, sha256, imagePullSecret }: Pick<WasmModule, 'url' | 'sha256' | 'imagePullSecret'>): string => JSON.stringify([url, sha256 ?? '', imagePullSecret ?? ''])

/** Whether a change of the object has its image pulled anew: by its policy, or for its tag (istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin, PullPolicy). */
export function isPulledAlways({ url, imagePullPolicy }: Pick<WasmModule, 'url' | 'imagePullPolicy'>): boolean {
  if (imagePullPolicy === 'Always') return true
  if (imagePullPolicy === 'IfNotPresent' || /^https?:\/\//i.test(url) || url.includes('@')) return false
  const tag = /:([^/:]+)$/.exec(url)?.[1]
  return tag === undefined || tag === 'latest'
}

/** How a member stands; undefined: nobody has looked yet, or what stands there is another object's, or is no state. */
export function moduleState(map: ConfigMapFields | undefined, member: string, uid: string): ModuleState | undefined {
  const text = map?.data?.[member]
  if (text === undefined) return undefined
  try {
    const { sha256, origin, ...state } = JSON.parse(text) as ModuleState
    if (state.uid !== uid || typeof state.of !== 'string') return undefined
    // Somebody may have written into it by hand.
    return typeof sha256 === 'string' && /^[a-f0-9]{64}$/.test(sha256) && isOrigin(origin) ? { ...state, sha256, origin } : state
  } catch {
    return undefined
  }
}

function isOrigin(value: unknown): value is ModuleOrigin {
  if (typeof value !== 'object' || value === null) return false
  if ('url' in value) return typeof value.url === 'string'
  return 'registry' in value && typeof value.registry === 'string' && 'repository' in value && typeof value.repository === 'string' && 'layer' in value && typeof value.layer === 'string' && 'bytes' in value && typeof value.bytes === 'number'
}

/** Whether there is anything to ask: for the first time, for something else than before, or anew since the object has changed. What has failed is asked again as well, at its time. */
export const isAsked = (state: ModuleState | undefined, module: WasmModule, revision: number): boolean =>
  state === undefined || state.of !== askedOf(module) || state.error !== undefined || state.sha256 === undefined || (isPulledAlways(module) && state.revision !== revision)
