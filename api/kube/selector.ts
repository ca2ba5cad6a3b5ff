import { isLabelValue, isQualifiedName } from '#core/resource/metadata.ts'
import type { ResourceObject } from '#core/resource/object.ts'
import { Refusal } from './refusal.ts'
import { badRequest } from './status.ts'

export interface Selection {
  matches(object: Pick<ResourceObject, 'metadata'>): boolean
  /** Label requirements of plain equality, which the store can look up. */
  readonly labels: Readonly<Record<string, string>>
  /** Whether labels decide, which an object can change. */
  readonly byLabels: boolean
  readonly name: string | undefined
  readonly namespace: string | undefined
}

type Labels = Readonly<Record<string, string>>
interface Requirement {
  readonly test: (labels: Labels) => boolean
  readonly equals?: readonly [string, string]
}

/** `labelSelector` and `fieldSelector` of a request. @throws Refusal 400 */
export function readSelection(labelSelector: string | undefined, fieldSelector: string | undefined): Selection {
  const requirements = readLabels(labelSelector ?? '')
  const fields = fieldTests(fieldSelector ?? '')
  return {
    labels: Object.fromEntries(requirements.flatMap((one) => (one.equals === undefined ? [] : [one.equals]))),
    byLabels: requirements.length > 0,
    name: fields.find((one) => one.field === 'metadata.name' && one.equal)?.value,
    namespace: fields.find((one) => one.field === 'metadata.namespace' && one.equal)?.value,
    matches: ({ metadata }) =>
      requirements.every(({ test }) => test(metadata.labels ?? {})) && fields.every(({ field, equal, value }) => ((field === 'metadata.name' ? metadata.name : (metadata.namespace ?? '')) === value) === equal),
  }
}

const unable = (why: string): Refusal => new Refusal(badRequest(`unable to parse requirement: ${why}`))

const valueOf = (labels: Labels, key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)

// Kubernetes' apimachinery/labels: requirements, joined by commas; words end at spaces and at the signs ! = < > ( ) and comma.
function readLabels(text: string): Requirement[] {
  const tokens = [...text.matchAll(/\s+|(==|!=|[=!<>(),])|([^\s=!<>(),]+)/g)].flatMap(([, sign, word]) => (sign ?? word) === undefined ? [] : [sign ?? word ?? ''])
  const requirements: Requirement[] = []
  let at = 0
  const peek = (): string | undefined => tokens[at]
  const take = (): string | undefined => tokens[at++]
  const isWord = (token: string | undefined): token is string => token !== undefined && !/^(==|!=|[=!<>(),])$/.test(token)
  const key = (): string => {
    const token = take()
    if (!isWord(token) || !isQualifiedName(token)) throw unable(`${JSON.stringify(token ?? '')} is no name of a label`)
    return token
  }
  const value = (): string => {
    const token = isWord(peek()) ? take() : ''
    if (token === undefined || !isLabelValue(token)) throw unable(`${JSON.stringify(token ?? '')} is no value of a label`)
    return token
  }
  const values = (): string[] => {
    if (take() !== '(') throw unable('in and notin are followed by (VALUE,…)')
    const list = [value()]
    while (peek() === ',') {
      take()
      list.push(value())
    }
    if (take() !== ')') throw unable('a list ends with )')
    return list
  }
  const requirement = (): Requirement => {
    if (peek() === '!') {
      take()
      const name = key()
      return { test: (labels) => valueOf(labels, name) === undefined }
    }
    const name = key()
    if (peek() === undefined || peek() === ',') return { test: (labels) => valueOf(labels, name) !== undefined }
    const how = take()
    switch (how) {
      case '=':
      case '==': {
        const wanted = value()
        return { test: (labels) => valueOf(labels, name) === wanted, equals: [name, wanted] }
      }
      case '!=': {
        const other = value()
        return { test: (labels) => valueOf(labels, name) !== other }
      }
      case 'in': {
        const list = new Set(values())
        return { test: (labels) => list.has(valueOf(labels, name) ?? '\0') }
      }
      case 'notin': {
        const list = new Set(values())
        return { test: (labels) => !list.has(valueOf(labels, name) ?? '\0') }
      }
      case '<':
      case '>': {
        const bound = value()
        if (!/^-?\d{1,19}$/.test(bound)) throw unable(`${how} is followed by a whole number`)
        return { test: (labels) => isBeyond(valueOf(labels, name), how, Number(bound)) }
      }
      default:
        throw unable(`${JSON.stringify(how)}: expected one of =, ==, !=, in, notin, <, >`)
    }
  }
  while (at < tokens.length) {
    requirements.push(requirement())
    if (at === tokens.length) break
    if (take() !== ',') throw unable('requirements are joined by commas')
    if (at === tokens.length) throw unable('a comma is followed by a requirement')
  }
  return requirements
}

const isBeyond = (value: string | undefined, how: '<' | '>', bound: number): boolean => value !== undefined && /^-?\d{1,19}$/.test(value) && (how === '<' ? Number(value) < bound : Number(value) > bound)

function fieldTests(text: string): { field: string; equal: boolean; value: string }[] {
  return text.split(',').filter((part) => part !== '').map((part) => {
    const [, field = '', how, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/s.exec(part) ?? []
    if (field !== 'metadata.name' && field !== 'metadata.namespace') throw new Refusal(badRequest(`field label not supported: ${(field || part).slice(0, 100)}`))
    return { field, equal: how !== '!=', value }
  })
}
