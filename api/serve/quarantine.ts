import { formatSpiffeId } from '#core/identity/spiffe.ts'
import { SECRET } from '#core/wire/type-url.ts'
import type { Peer } from './peer.ts'
import type { Resource } from './resource.ts'

/** Contents that a mesh remembers as refused; the oldest is forgotten first. */
const casesMax = 1000
/** Identities that must have refused a content before it is kept from those of another. */
const identitiesMin = 2

/** Why a content is kept back. */
export interface Ruling {
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
  readonly type: string
  readonly name: string
  readonly identities: Set<string>
  ruling: Ruling
  /** A client of the same kind took it: whoever refuses it does so for reasons of its own. */
  accepted: boolean
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

  /** A client refused these, and its words leave no doubt which. */
  refused(by: Judged, resources: readonly Resource[], message: string): void {
    for (const resource of resources) {
      // Secrets are their owner's alone.
      if (resource.type === SECRET) continue
      const kind = kindOf(by)
      let cases = this.#cases.get(kind)
      if (cases === undefined) this.#cases.set(kind, (cases = new Map()))
      const key = contentOf(resource)
      const known = cases.get(key)
      if (known) {
        known.identities.add(identityOf(by))
        known.ruling = { message, by: by.node.id }
        continue
      }
      const accepted = [...this.#likeIt(by)].some((other) => other !== by && other.accepts(resource))
      cases.set(key, { type: resource.type, name: resource.name, identities: new Set([identityOf(by)]), ruling: { message, by: by.node.id }, accepted })
      if (cases.size > casesMax) for (const oldest of cases.keys()) if (cases.delete(oldest)) break
    }
  }

  /** A client took these: what others of its kind refused among them is sent again to those from whom it was kept. */
  accepted(by: Judged, resources: readonly Resource[]): void {
    if (this.#cases.size === 0) return
    const cases = this.#cases.get(kindOf(by))
    if (cases === undefined) return
    for (const resource of resources) {
      const known = cases.get(contentOf(resource))
      if (known === undefined || known.accepted) continue
      known.accepted = true
      for (const other of this.#likeIt(by)) other.reconsider(known.type, known.name)
    }
  }

  rulingsFor(stream: Judged): Rulings {
    const [kind, identity, cases] = [kindOf(stream), identityOf(stream), this.#cases]
    return {
      get isEmpty() {
        return !cases.has(kind)
      },
      of(resource) {
        const known = cases.get(kind)?.get(contentOf(resource))
        if (known === undefined || known.accepted) return undefined
        return known.identities.has(identity) || known.identities.size >= identitiesMin ? known.ruling : undefined
      },
    }
  }

  /** The last stream of a mesh is gone: whoever comes is tried anew. */
  forget(meshId: string): void {
    for (const kind of this.#cases.keys()) if (kind.startsWith(`${meshId} `)) this.#cases.delete(kind)
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
