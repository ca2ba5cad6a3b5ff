import { selects } from '../labels.ts'
import type { Labels } from '../labels.ts'
import type { JudgedListener } from './listener.ts'
import type { Surroundings } from './surroundings.ts'

/** Namespaces from which objects may be attached. */
export interface AdmittedNamespaces {
  readonly from?: 'All' | 'Selector' | 'Same' | 'None' | undefined
  readonly selector?: { readonly matchLabels?: Labels | undefined; readonly matchExpressions?: readonly Expression[] | undefined } | undefined
}

interface Expression {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[] | undefined
}

/** Whether routes of a namespace may be attached to a listener. */
export const admitsNamespace = ({ owner, listener }: JudgedListener, namespace: string, around: Surroundings): boolean => admits({ from: 'Same', ...listener.allowedRoutes?.namespaces }, owner.namespace, namespace, around)

/** Whether objects of a namespace may be attached to one in `own`. */
export function admits({ from, selector }: AdmittedNamespaces, own: string, namespace: string, around: Surroundings): boolean {
  if (from === 'All') return true
  if (from === 'Same') return namespace === own
  if (from === 'None' || from === undefined) return false
  const labels = { 'kubernetes.io/metadata.name': namespace, ...around.namespaces().find((one) => one.name === namespace)?.labels }
  return selects(selector?.matchLabels, labels) && (selector?.matchExpressions ?? []).every((one) => expressionHolds(one, labels))
}

function expressionHolds({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = labels[key]
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    default:
      return value === undefined
  }
}
