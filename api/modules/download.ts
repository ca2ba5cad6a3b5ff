import { status } from '@grpc/grpc-js'
import { MODULES_PATH } from '#api/model/modules.ts'
import type { Log } from '../log.ts'
import { CallRefused, identify } from '../serve/credentials.ts'
import type { ServeDoors } from '../serve/peer.ts'
import type { Download } from '../serve/transport/download.ts'
import type { TrustStore } from '../serve/trust.ts'
import { ModuleProblem } from './problem.ts'
import type { ModuleWorker } from './worker.ts'

/** `GET /modules/NAMESPACE/MEMBER/SHA256` on the xDS port: a module, for the proxies of the mesh where an object has it now, and for nobody else. */
export function moduleDownload(doors: { readonly serve: Pick<ServeDoors, 'authenticate'>; readonly modules: ModuleWorker; readonly log: Log }, trust: TrustStore | undefined): Download {
  return {
    path: MODULES_PATH,
    async answer(caller, rest) {
      const [namespace = '', member = '', sha256 = '', ...more] = rest.split('/')
      try {
        const { meshId } = await identify(caller, doors.serve, trust)
        const body = more.length === 0 && /^[a-f0-9]{64}$/.test(sha256) ? await doors.modules.bytesOf(meshId, namespace, member, sha256) : undefined
        return body === undefined ? { status: 404 } : { status: 200, body }
      } catch (error) {
        if (error instanceof CallRefused) return { status: error.code === status.PERMISSION_DENIED ? 403 : 401 }
        if (!(error instanceof ModuleProblem)) throw error
        doors.log.warn('modules.unavailable', { namespace, member, sha256, reason: error.message })
        return { status: 503 }
      }
    },
  }
}
