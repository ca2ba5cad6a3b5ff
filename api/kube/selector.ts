import { Faults, fault } from '#core/fault/fault.ts'
import type { ResourceObject } from '#core/resource/object.ts'

export interface Selection {
  matches(object: ResourceObject): boolean
  /** Label requirements of plain equality, which the store can look up. */
  readonly labels: Readonly<Record<string, string>>
  readonly name: string | undefined
  readonly namespace: string | undefined
}

const refuse = (path: string, value: string, rule: string): Faults => new Faults([fault('request.invalid', { path, value, rule })])

type Test = (labels: Readonly<Record<string, string>>) => boolean

/** `labelSelector` and `fieldSelector` of a request. @throws Faults 'request.invalid' */
export function readSelection(labelSelector: string | undefined, fieldSelector: string | undefined): Selection {
  const labels: Record<string, string> = {}
  const tests: Test[] = []
  for (const part of splitSelector(labelSelector ?? '')) tests.push(labelTest(part, labels))
  const fields = fieldTests(fieldSelector ?? '')
  return {
    labels,
    name: fields.find((one) => one.field === 'metadata.name' && one.equal)?.value,
    namespace: fields.find((one) => one.field === 'metadata.namespace' && one.equal)?.value,
    matches: (object) =>
      tests.every((test) => test(object.metadata.labels ?? {})) &&
      fields.every(({ field, equal, value }) => ((field === 'metadata.name' ? object.metadata.name : (object.metadata.namespace ?? '')) === value) === equal),
  }
}

// Commas separate requirements, except within the parentheses of `in (a,b)`.
function splitSelector(text: string): string[] {
  const parts: string[] = []
  let start = 0
  let within = false
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index]
    if (letter === '(') within = true
    else if (letter === ')') within = false
    else if (letter === ',' && !within) {
      parts.push(text.slice(start, index))
      start = index + 1
    }
  }
  return [...parts, text.slice(start)].map((part) => part.trim()).filter((part) => part !== '')
}

function labelTest(part: string, equalities: Record<string, string>): Test {
  const set = /^([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(part)
  if (set) {
    const [, key = '', how, list = ''] = set
    const values = list.split(',').map((value) => value.trim())
    return how === 'in' ? (labels) => labels[key] !== undefined && values.includes(labels[key]) : (labels) => labels[key] === undefined || !values.includes(labels[key])
  }
  const compared = /^([^\s!=]+)\s*(==|=|!=)\s*(\S*)$/.exec(part)
  if (compared) {
    const [, key = '', how, value = ''] = compared
    if (how === '!=') return (labels) => labels[key] !== value
    equalities[key] = value
    return (labels) => labels[key] === value
  }
  const presence = /^(!?)\s*([-A-Za-z0-9_./]+)$/.exec(part)
  if (!presence) throw refuse('labelSelector', part, 'KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY')
  const [, not, key = ''] = presence
  return (labels) => Object.hasOwn(labels, key) === (not === '')
}

function fieldTests(text: string): { field: string; equal: boolean; value: string }[] {
  return splitSelector(text).map((part) => {
    const [, field = '', how, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part) ?? []
    if (field !== 'metadata.name' && field !== 'metadata.namespace') throw refuse('fieldSelector', part, 'metadata.name or metadata.namespace')
    return { field, equal: how !== '!=', value }
  })
}
