import { formatSpiffeId } from '#core/identity/spiffe.ts'
import { SECRET } from '#core/wire/type-url.ts'
import type { Peer } from './peer.ts'
import type { Resource } from './resource.ts'

/** Contents that a mesh remembers as refused; the oldest is forgotten first. */
const casesMax = 1000
/** Identities that must have refused a content before it is kept from those of another. */
const identitiesMin = 2

/** Why a content is kept back. */
interface Ruling {
  /** The words of the client that refused it last. */
  readonly message: string
  /** Node id of that client. */
  readonly by: string
}

/** What quarantine asks of a stream. */
export interface Judged {
  readonly peer: Peer
  readonly node: { readonly id: string; readonly engine: string; readonly version: string }
  /** It was sent exactly this, has answered, and did not refuse it. */
  accepts(resource: Resource): boolean
  /** Looks again at a content that was kept back. */
  reconsider(type: string, name: string): void
}

/** Asked for each resource that is about to be sent to one stream. */
export interface Rulings {
  /** Nothing is kept from streams like this one: there is no need to ask. */
  readonly isEmpty: boolean
  of(resource: Resource): Ruling | undefined
}

interface Case {
  readonly resource: Resource
  readonly identities: Set<string>
  /** Of the mesh, when it was sent. */
  readonly revision: number
  ruling: Ruling
}

/**
 * Contents that clients of one kind (engine and version) refused, by mesh: others of the kind are not tried with them again, and keep what they have, while all else flows.
 * A refusal binds streams of the same identity at once and those of others when a second identity agrees, so no single proxy decides what the rest of the mesh is sent. One that takes the content
 * ends the matter. The next version of the resource is another content.
 */
export class Quarantine {
  readonly #streams: (meshId: string) => Iterable<Judged>
  /** By mesh and kind of client; then by content. */
  readonly #cases = new Map<string, Map<string, Case>>()

  /** @param streams the streams of a mesh */
  constructor(streams: (meshId: string) => Iterable<Judged>) {
    this.#streams = streams
  }

  /** A client refused these, of a response as of a revision, and its words leave no doubt which. */
  refused(by: Judged, resources: readonly Resource[], revision: number, message: string): void {
    for (const resource of resources) {
      // Secrets are their owner's alone.
      if (resource.type === SECRET) continue
      const kind = kindOf(by)
      const known = this.#cases.get(kind)?.get(contentOf(resource))
      if (known) {
        known.identities.add(identityOf(by))
        known.ruling = { message, by: by.node.id }
      } else if (![...this.#likeIt(by)].some((other) => other !== by && other.accepts(resource))) this.#open(kind, { resource, identities: new Set([identityOf(by)]), revision, ruling: { message, by: by.node.id } })
    }
  }

  /** A client took these: what others of its kind refused among them is sent again to those from whom it was kept, and what they refused before of these names is past. */
  accepted(by: Judged, resources: readonly Resource[], revision: number): void {
    if (this.#cases.size === 0) return
    const kind = kindOf(by)
    const cases = this.#cases.get(kind)
    if (cases === undefined) return
    const taken = new Map(resources.map((resource) => [`${resource.type} ${resource.name}`, resource]))
    for (const [key, { resource, revision: refusedAt }] of cases) {
      const now = taken.get(`${resource.type} ${resource.name}`)
      // An answer to an older response says nothing of what came since.
      if (now === undefined || (now.version !== resource.version && revision <= refusedAt)) continue
      cases.delete(key)
      if (now.version === resource.version) for (const other of this.#likeIt(by)) other.reconsider(resource.type, resource.name)
    }
    if (cases.size === 0) this.#cases.delete(kind)
  }

  rulingsFor(stream: Judged): Rulings {
    const [kind, identity, cases] = [kindOf(stream), identityOf(stream), this.#cases]
    return {
      get isEmpty() {
        return !cases.has(kind)
      },
      of(resource) {
        const known = cases.get(kind)?.get(contentOf(resource))
        return known && (known.identities.has(identity) || known.identities.size >= identitiesMin) ? known.ruling : undefined
      },
    }
  }

  /** The last stream of a mesh is gone: whoever comes is tried anew. */
  forget(meshId: string): void {
    for (const kind of this.#cases.keys()) if (kind.startsWith(`${meshId} `)) this.#cases.delete(kind)
  }

  #open(kind: string, about: Case): void {
    let cases = this.#cases.get(kind)
    if (cases === undefined) this.#cases.set(kind, (cases = new Map()))
    cases.set(contentOf(about.resource), about)
    if (cases.size > casesMax) for (const oldest of cases.keys()) if (cases.delete(oldest)) break
  }

  *#likeIt(stream: Judged): Iterable<Judged> {
    const kind = kindOf(stream)
    for (const other of this.#streams(stream.peer.meshId)) if (kindOf(other) === kind) yield other
  }
}

const kindOf = ({ peer, node }: Judged): string => `${peer.meshId} ${node.engine} ${node.version}`
const contentOf = ({ type, name, version }: Resource): string => `${type} ${name} ${version}`
/** On loopback nobody proves anything, and all are one. */
const identityOf = ({ peer }: Judged): string => (peer.identity ? formatSpiffeId(peer.identity) : peer.how)
