import type { Attribute } from '#core/match/expression.ts'
import { metricNames, type MetricRulePlan } from '#core/telemetry/metric-rules.ts'
import { compileOverFacts } from './attributes.ts'
import type { Facts } from './facts.ts'

/** What is changed of the metrics of one connection manager: an entry a metric, in the order of `metricNames`; undefined: that one stays as it is. */
export type MetricRules = readonly (MetricRule | undefined)[]

interface MetricRule {
  readonly dropped: boolean
  /** Labels without those that are left out or set anew. */
  base(labels: string): string
  /** The labels that are set, `,a="b"`. */
  tags(facts: Facts): string
}

const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\\n]|\\.)*)"/g

export const compileMetricRules = (plans: readonly MetricRulePlan[]): MetricRules =>
  metricNames.map((name) => {
    const plan = plans.find((one) => one.name === name)
    if (plan === undefined) return undefined
    const tags = plan.tags.map(({ tag, expression }) => ({ key: `,${labelName(tag)}="`, value: compileOverFacts(expression) }))
    const replaced = new Set([...plan.removed, ...plan.tags.map(({ tag }) => labelName(tag))])
    return {
      dropped: plan.dropped,
      base: (labels) => [...labels.matchAll(LABEL)].flatMap(([whole, label = '']) => (replaced.has(label) ? [] : [whole])).join(','),
      tags: (facts) => tags.reduce((text, { key, value }) => `${text}${key}${escaped(valueOf(value, facts))}"`, ''),
    }
  })

/** What is no value of the request is unknown, as in Istio. */
function valueOf(value: Attribute<Facts> | undefined, facts: Facts): string {
  const found = value?.(facts)
  return typeof found === 'string' && found !== '' ? found : typeof found === 'bigint' || typeof found === 'number' || typeof found === 'boolean' ? String(found) : 'unknown'
}

const escaped = (value: string): string => value.replace(/[\\"\n]/g, (one) => (one === '\n' ? '\\n' : `\\${one}`))
const labelName = (tag: string): string => tag.replace(/[^A-Za-z0-9_]/g, '_')
