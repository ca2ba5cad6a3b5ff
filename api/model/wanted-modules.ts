import type { ConfigMapFields } from '#core/resource/config-map.ts'
import type { SecretFields } from '#core/resource/secret.ts'
import type { TrafficExtensionSpec } from '#core/resource/traffic-extension.ts'
import type { WasmModule } from '#core/resource/wasm.ts'
import type { MeshModel } from './mesh-model.ts'
import { askedOf, isAsked, isFetchedHere, isPulledAlways, MODULES, moduleMember, moduleState } from './modules.ts'
import type { ModuleState } from './modules.ts'

/** A module that an object of a mesh asks for. */
export interface WantedModule {
  /** `WasmPlugin/prod/sign-in` */
  readonly id: string
  readonly namespace: string
  /** Of the state's ConfigMap. */
  readonly member: string
  readonly uid: string
  readonly revision: number
  readonly module: WasmModule
  readonly state: ModuleState | undefined
  readonly isAsked: boolean
  /** What a failed try would be tried with again: another one is not made to wait. */
  readonly try: string
}

const KINDS = ['WasmPlugin', 'TrafficExtension'] as const

/** The modules of a mesh that the control plane fetches: a look at its plugins, and at nothing else. */
export function* wantedModules(model: MeshModel): Iterable<WantedModule> {
  for (const kind of KINDS) {
    for (const namespace of model.members(`in-namespace/${kind}`)) {
      const map = model.object(`ConfigMap/${namespace}/${MODULES}`)?.object as ConfigMapFields | undefined
      for (const id of model.filed(`in-namespace/${kind}`, namespace)) {
        const stored = model.object(id)
        const module = kind === 'WasmPlugin' ? (stored?.object.spec as WasmModule | undefined) : (stored?.object.spec as TrafficExtensionSpec | undefined)?.wasm
        if (stored === undefined || module === undefined || !isFetchedHere(module)) continue
        const member = moduleMember(kind, stored.key.name)
        const state = moduleState(map, member, stored.uid)
        const secret = module.imagePullSecret === undefined ? undefined : model.object(`Secret/${namespace}/${module.imagePullSecret}`)
        yield {
          id, namespace, member, uid: stored.uid, revision: stored.revision, module, state,
          isAsked: isAsked(state, module, stored.revision),
          try: JSON.stringify([askedOf(module), isPulledAlways(module) ? stored.revision : 0, secret?.revision ?? 0]),
        }
      }
    }
  }
}

/** The Secret of a namespace that a module names. */
export const pullSecretOf = (model: MeshModel, namespace: string, name: string): SecretFields | undefined => model.object(`Secret/${namespace}/${name}`)?.object as SecretFields | undefined
