import type { ResourceObject } from '#core/resource/object.ts'
import type { Random } from '#core/time/clock.ts'

type Json = string | number | boolean | null | Json[] | { [field: string]: Json }

/** A value within an object: where it hangs, and its path with `[]` for entries of lists. */
interface Place {
  readonly value: Json
  readonly path: string
  readonly parent: Json[] | { [field: string]: Json }
  readonly step: string | number
}

/** Texts and numbers at the edges of what fields take. */
const TEXTS = ['', '*', '*.com', 'a.*', '*foo.com', '1.2.3.4', '1.2.3.4/8', '1.2.3.0/33', '::1', 'fe80::/64', 'foo_bar', 'FOO', '-a', 'a-', 'a..b', 'a.b.', 'ns/foo', '*/foo', './foo', '~/*', '*/*', '../x', 'http://x', 'https://a.b:8080/x', 'foo:80', '0s', '1s', '-1s', '1ms', '500us', '1h', '1d', '0', '1', 'mesh', '%REQ(x)%', '/a', '/a?b=c', 'a b', 'a\nb', '{*}', '/{**}/x', '/a/{*}/b', 'é', 'x'.repeat(300), 'spiffe://foo', '[', 'a{1001}', 'HTTP', 'TLS', 'TCP', 'UDP', 'HBONE', 'region/*', '*/zone', 'a/b/c/d', 'foo.svc.cluster.local', 'configmap://x', 'file:///x', 'oci://a/b', 'request.headers[x]', 'source.ip', ':authority', 'Host', 'GET', '5xx,reset', '503', '1.2.3.4:80', 'unix:///var/x', 'ISTIO_MUTUAL', 'SIMPLE', 'STRICT', 'NONE', 'STATIC']
const NUMBERS = [-1, 0, 1, 99, 100, 101, 199, 200, 599, 600, 65535, 65536, 2147483648, 4294967296, 0.5]

/** What stands where in a set of objects, by kind and path: values to put elsewhere. */
export class Pools {
  readonly #values = new Map<string, Map<string, Json>>()
  readonly #fields = new Map<string, Set<string>>()

  constructor(objects: readonly ResourceObject[]) {
    for (const object of objects) this.#take(object.kind, '', object['spec'] as Json)
  }

  #take(kind: string, path: string, value: Json): void {
    const values = entry(this.#values, `${kind}${path}`, () => new Map<string, Json>())
    const text = JSON.stringify(value) ?? ''
    if (text.length < 3000) values.set(text, value)
    if (Array.isArray(value)) for (const one of value) this.#take(kind, `${path}[]`, one)
    else if (isMap(value)) {
      for (const [field, one] of Object.entries(value)) {
        entry(this.#fields, `${kind}${path}`, () => new Set<string>()).add(field)
        this.#take(kind, `${path}.${field}`, one)
      }
    }
  }

  at(kind: string, path: string): readonly Json[] {
    return [...(this.#values.get(`${kind}${path}`)?.values() ?? [])]
  }

  fields(kind: string, path: string): readonly string[] {
    return [...(this.#fields.get(`${kind}${path}`) ?? [])]
  }
}

/** A copy that differs in one place, and what was done to it; undefined when nothing could be done there. */
export function changed(object: ResourceObject, pools: Pools, random: Random): { readonly object: ResourceObject; readonly how: string } | undefined {
  const copy = structuredClone(object) as ResourceObject & { [field: string]: Json }
  if (copy['spec'] === undefined) return undefined
  const place = pick(random, [...places(copy['spec'] as Json, '', copy, 'spec')])
  const how = place === undefined ? undefined : change(place, copy.kind, pools, random)
  return how === undefined ? undefined : { object: copy, how }
}

function change({ value, path, parent, step }: Place, kind: string, pools: Pools, random: Random): string | undefined {
  const put = (other: Json | undefined): void => {
    if (other !== undefined) (parent as Record<string | number, Json>)[step] = structuredClone(other)
  }
  const remove = (): string => {
    if (Array.isArray(parent)) parent.splice(Number(step), 1)
    else delete parent[step]
    return `${path} removed`
  }
  const draw = random.draw()
  if (isMap(value) && (path === '' || draw < 0.5)) {
    const field = pick(random, pools.fields(kind, path).filter((name) => !(name in value)))
    const other = field === undefined ? undefined : pick(random, pools.at(kind, `${path}.${field}`))
    if (field === undefined || other === undefined) return undefined
    value[field] = structuredClone(other)
    return `${path}.${field} added`
  }
  if (Array.isArray(value) && draw < 0.6) {
    const other = draw < 0.2 ? pick(random, value) : pick(random, pools.at(kind, `${path}[]`))
    if (other === undefined || draw >= 0.5) put([])
    else value.push(structuredClone(other))
    return `${path} ${draw >= 0.5 ? 'emptied' : 'has one more'}`
  }
  if (draw < 0.7 && draw >= 0.4 && !isMap(value) && !Array.isArray(value)) {
    put(typeof value === 'number' ? pick(random, NUMBERS) : typeof value === 'boolean' ? !value : pick(random, TEXTS))
    return `${path} at an edge`
  }
  if (draw < 0.85) {
    put(pick(random, pools.at(kind, path)))
    return `${path} from another`
  }
  return remove()
}

function* places(value: Json, path: string, parent: Place['parent'], step: string | number): Iterable<Place> {
  yield { value, path, parent, step }
  if (Array.isArray(value)) for (const [index, one] of value.entries()) yield* places(one, `${path}[]`, value, index)
  else if (isMap(value)) for (const [field, one] of Object.entries(value)) yield* places(one, `${path}.${field}`, value, field)
}

const isMap = (value: Json): value is { [field: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value)
const pick = <T>(random: Random, from: readonly T[]): T | undefined => from[Math.floor(random.draw() * from.length)]

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
