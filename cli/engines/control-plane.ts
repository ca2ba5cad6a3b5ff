import { certificateService } from '#api/ca/certificate-service.ts'
import { makeRoot, readAuthority, type Authority } from '#api/ca/root.ts'
import { serverCertificate } from '#api/ca/sign.ts'
import { bound } from '#api/model/bound-claims.ts'
import { startXds, type XdsServer } from '#api/serve/server.ts'
import { TrustStore } from '#api/serve/trust.ts'
import type { World } from '#api/simulate/world.ts'
import { fault, Faults } from '#core/fault/fault.ts'
import { parseSpiffeId } from '#core/identity/spiffe.ts'
import type { Doors } from '#core/time/clock.ts'

/** A mesh as proxies join it. */
export interface JoinableMesh {
  readonly id: string
  /** Good for every identity of the mesh. */
  readonly joinToken: string
}

const SYNCED_WITHIN_MS = 300_000

/**
 * Discovery and certificates for worlds, without a store: a stream's certificate says which world it gets. One server for all cases of a run, each with a root of its own.
 */
export class CaseControlPlane {
  readonly #doors: Doors
  readonly #root: Authority
  readonly #trust: TrustStore
  readonly #worlds = new Map<string, { readonly world: World; readonly authority: Authority }>()
  #xds: XdsServer | undefined
  #count = 0

  private constructor(doors: Doors) {
    this.#doors = doors
    const nowMs = doors.clock.wallMs()
    this.#root = readAuthority(makeRoot({ organization: 'weft test', nowMs }))
    this.#trust = new TrustStore(serverCertificate(this.#root, ['127.0.0.1', 'localhost'], nowMs))
  }

  static async start(doors: Doors): Promise<CaseControlPlane> {
    const plane = new CaseControlPlane(doors)
    const { clock } = doors
    plane.#xds = await startXds(
      {
        ...doors,
        serve: {
          authenticate: async ({ certificate }) => {
            const identity = certificate && parseSpiffeId(certificate.uri)
            if (certificate === undefined || identity === undefined) throw new Faults([fault('access.unauthenticated', { path: 'certificate', rule: 'a certificate of the mesh' })])
            return { organizationId: 'weft test', meshId: certificate.meshId, identity, how: 'certificate', expiresAtMs: certificate.notAfterMs }
          },
          admit: async (peer, node) => bound(plane.#world(peer.meshId).model, node),
          viewFor: async (peer, node) => plane.#world(peer.meshId).viewFor(node, peer.identity),
          connected() {},
          disconnected() {},
        },
      },
      {
        tls: { address: '127.0.0.1', port: 0, trust: plane.#trust },
        services: [
          certificateService({
            clock,
            resolveToken: async (secret) => {
              const meshId = secret.replace(/^weft_join_/, '')
              return plane.#worlds.has(meshId) ? { organizationId: 'weft test', meshId, namespace: '*', serviceAccount: '*' } : undefined
            },
            authorityOf: async (meshId) => {
              const found = plane.#worlds.get(meshId)
              return found && { authority: found.authority, trustDomain: found.world.model.trustDomain }
            },
          }),
        ],
      },
    )
    return plane
  }

  get target(): string {
    return `127.0.0.1:${this.#xds?.port ?? 0}`
  }

  /** PEM of the root that its own port is certified by. */
  get serverRoot(): string {
    return this.#root.certificate
  }

  add(world: World): JoinableMesh {
    const id = `case-${++this.#count}`
    const root = makeRoot({ organization: world.model.trustDomain, trustDomain: world.model.trustDomain, nowMs: this.#doors.clock.wallMs() })
    this.#worlds.set(id, { world, authority: readAuthority(root) })
    this.#trust.set(id, root.certificate)
    return { id, joinToken: `weft_join_${id}` }
  }

  remove(mesh: JoinableMesh): void {
    this.#worlds.delete(mesh.id)
    this.#trust.delete(mesh.id)
  }

  /** Resolves when all proxies of a mesh have what a revision brought them. */
  async synced(mesh: JoinableMesh, revision: number): Promise<void> {
    const ledger = this.#xds?.ledger
    const done = ledger?.whenSynced(mesh.id, revision, SYNCED_WITHIN_MS)
    ledger?.advanced(mesh.id)
    const { stragglers = [] } = (await done) ?? {}
    if (stragglers.length > 0) throw new Error(`${stragglers.join(', ')} did not take what changed within ${SYNCED_WITHIN_MS} ms`)
  }

  /** What proxies of a mesh refused, in words. */
  rejections(mesh: JoinableMesh): string[] {
    const found: string[] = []
    for (const stream of this.#xds?.ledger.streams() ?? []) {
      if (stream.peer.meshId !== mesh.id) continue
      for (const rejection of stream.rejections) found.push(`${stream.node.id}: ${rejection.message}`)
    }
    return found
  }

  async close(): Promise<void> {
    await this.#xds?.close(0)
  }

  #world(meshId: string): World {
    const found = this.#worlds.get(meshId)
    if (found === undefined) throw new Faults([fault('object.not-found', { path: 'mesh', value: meshId, rule: 'a case that is being played' })])
    return found.world
  }
}
