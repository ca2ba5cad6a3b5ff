import type { SpanTagPlan } from '#core/plan/http.ts'
import type { Facts } from './facts.ts'
import { compileFormat, renderFormat } from './format.ts'

/** A tag of every span of a listener; undefined where this request has none. */
export interface SpanTag {
  readonly tag: string
  readonly value: (facts: Facts) => string | undefined
}

const orNone = (text: string): string | undefined => (text === '' ? undefined : text)

/** `variable`: of the proxy's environment. An empty value makes no tag, as in Envoy. */
export const spanTag = (plan: SpanTagPlan, variable: (name: string) => string | undefined): SpanTag => ({ tag: plan.tag, value: valueOf(plan, variable) })

function valueOf(plan: SpanTagPlan, variable: (name: string) => string | undefined): SpanTag['value'] {
  switch (plan.kind) {
    case 'literal': {
      const value = orNone(plan.value)
      return () => value
    }
    case 'environment': {
      const value = orNone(variable(plan.name) ?? plan.otherwise)
      return () => value
    }
    case 'header':
      return ({ request }) => orNone(request.header(plan.name) ?? plan.otherwise)
    case 'format': {
      const parts = compileFormat(plan.value, (ms) => new Date(ms).toISOString())
      return (facts) => orNone(renderFormat(parts, facts))
    }
  }
}
