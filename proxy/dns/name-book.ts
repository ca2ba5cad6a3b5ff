import type { NamedHost, NamesPlan } from '#core/plan/names.ts'

/** What a name stands for. `host` differs from what was asked for where a search domain stood behind it: it is the canonical name then. */
export interface Found {
  readonly host: string
  readonly addresses: readonly string[]
}

/**
 * The names of the mesh as an application of a namespace may write them: in full, and where they are Kubernetes' names by `name.namespace.svc`, `name.namespace`, and `name` in its own namespace; each also with a
 * search domain behind it, as resolvers try names that have few dots. A change costs what it names.
 */
export class NameBook {
  readonly #namespace: string
  readonly #search: readonly string[]
  readonly #byTable = new Map<string, readonly (readonly [name: string, host: NamedHost])[]>()
  /** Several tables may have one name: a full one, and another's short one. The last is the one that counts, and full names before short ones. */
  readonly #byName = new Map<string, { readonly table: string; readonly host: NamedHost }[]>()

  /** @param search domains that resolvers put behind names, as /etc/resolv.conf lists them */
  constructor(namespace: string, search: readonly string[]) {
    this.#namespace = namespace
    this.#search = search.map((one) => one.toLowerCase().replace(/^\.+|\.+$/g, '')).filter((one) => one !== '')
  }

  /** Puts a table in the place of the one of its name; undefined: it is gone. */
  put(table: string, plan: NamesPlan | undefined): void {
    for (const [name] of this.#byTable.get(table) ?? []) {
      const left = (this.#byName.get(name) ?? []).filter((one) => one.table !== table)
      if (left.length > 0) this.#byName.set(name, left)
      else this.#byName.delete(name)
    }
    const entries = (plan?.hosts ?? []).flatMap((host) => this.#namesOf(host).map((name) => [name, host] as const))
    if (entries.length > 0) this.#byTable.set(table, entries)
    else this.#byTable.delete(table)
    for (const [name, host] of entries) this.#byName.set(name, [...(this.#byName.get(name) ?? []), { table, host }])
  }

  /** Undefined: the mesh knows nothing of it. `name` in lower case, without the last dot. */
  find(name: string): Found | undefined {
    const exact = this.#at(name) ?? this.#below(name)
    if (exact !== undefined) return { host: name, addresses: exact.addresses }
    for (const domain of this.#search) {
      if (!name.endsWith(`.${domain}`)) continue
      const bare = name.slice(0, -domain.length - 1)
      // Short names are in the book with what makes them full; a search domain behind one is another name.
      const found = bare.includes('.') ? (this.#at(bare) ?? this.#below(bare)) : undefined
      if (found !== undefined) return { host: bare, addresses: found.addresses }
    }
    return undefined
  }

  #at(name: string): NamedHost | undefined {
    const known = this.#byName.get(name)
    return known?.find((one) => one.host.host === name)?.host ?? known?.[0]?.host
  }

  #below(name: string): NamedHost | undefined {
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      const found = this.#byName.get(`*${name.slice(dot)}`)?.[0]?.host
      if (found !== undefined) return found
    }
    return undefined
  }

  #namesOf({ host, shortName, namespace }: NamedHost): string[] {
    if (shortName === '' || namespace === '' || !host.startsWith(`${shortName}.${namespace}.svc.`)) return [host]
    return [host, `${shortName}.${namespace}.svc`, `${shortName}.${namespace}`, ...(namespace === this.#namespace ? [shortName] : [])]
  }
}
