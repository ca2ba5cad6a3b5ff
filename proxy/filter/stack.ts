import type { HttpFilterPlan, HttpPlan } from '#core/plan/http.ts'
import type { RouteTable } from '#core/plan/route.ts'
import type { RequestHead } from '#core/route/request.ts'
import type { PathRules } from '#core/route/normalize.ts'
import { connectScope, findScope } from '#core/route/scope.ts'
import type { Engine } from '../http/engine.ts'
import type { PlanSource } from '../sources.ts'
import type { LogSink } from '../telemetry/access-log.ts'
import { type Log, logOf } from '../telemetry/log-of.ts'
import { compileMetricRules, type MetricRules } from '../telemetry/metric-rules.ts'
import { type SpanTag, spanTag } from '../telemetry/span-tags.ts'
import { cors } from './cors.ts'
import { extAuthz } from './ext-authz.ts'
import { fault } from './fault.ts'
import type { HttpFilter } from './filter.ts'
import { grpcWeb } from './grpc-web.ts'
import { jwt } from './jwt.ts'
import { globalRateLimit } from './global-rate-limit.ts'
import { localRateLimit } from './local-rate-limit.ts'
import { rbac } from './rbac.ts'

function compileFilter(plan: HttpFilterPlan, engine: Engine): HttpFilter {
  const { doors } = engine
  switch (plan.kind) {
    case 'rbac':
      return rbac(plan.policy)
    case 'fault':
      return fault(plan.fault, doors)
    case 'jwt':
      return jwt(plan.jwt, engine)
    case 'ext-authz':
      return extAuthz(plan.check, engine)
    case 'cors':
      return cors
    case 'grpc-web':
      return grpcWeb(plan.byDefault)
    case 'rate-limit':
      return globalRateLimit(plan.limit, engine)
    case 'local-rate-limit':
      return localRateLimit(plan.name, plan.limit, engine)
  }
}

/** An HTTP connection manager, ready to run: made once for each HttpPlan. */
export class HttpStack {
  readonly plan: HttpPlan
  readonly direction: 'inbound' | 'outbound' | 'gateway'
  /** In the plan's order. */
  readonly filters: readonly HttpFilter[]
  readonly logs: readonly Log[]
  readonly spanTags: readonly SpanTag[]
  readonly metricRules: MetricRules | undefined
  readonly pathRules: PathRules
  readonly rewritesPath: boolean
  /** The `server` field of answers; empty: upstream's own passes. Names that mean Envoy are not ours to bear. */
  readonly serverName: string

  constructor(plan: HttpPlan, direction: 'inbound' | 'outbound' | 'gateway', engine: Engine, sink: LogSink) {
    this.plan = plan
    this.direction = direction
    this.filters = plan.filters.map((filter) => compileFilter(filter, engine))
    this.logs = plan.accessLog.map((log) => logOf(log, sink, engine.logServices))
    this.spanTags = (plan.tracing?.tags ?? []).map((tag) => spanTag(tag, (name) => engine.variable(name)))
    this.metricRules = plan.metricRules === undefined ? undefined : compileMetricRules(plan.metricRules)
    this.serverName = plan.serverName === 'envoy' || plan.serverName === 'istio-envoy' ? 'weft' : plan.serverName
    this.pathRules = { normalize: plan.normalizePath, mergeSlashes: plan.mergeSlashes, escapedSlashes: plan.escapedSlashes }
    this.rewritesPath = plan.normalizePath || plan.mergeSlashes || plan.escapedSlashes !== 'keep'
  }

  /** The route table of a request; undefined when there is none (NR). */
  tableFor(plans: PlanSource, request: RequestHead): RouteTable | undefined {
    const source = this.plan.routes
    switch (source.kind) {
      case 'inline':
        return source.table
      case 'named':
        return plans.tables.get(source.name)
      case 'scoped': {
        const scope = findScope(plans.scopes, source, request)
        return scope === undefined ? undefined : plans.tables.get(scope.table)
      }
    }
  }

  /** The route table of a CONNECT for which that one has no route. */
  connectTable(plans: PlanSource): RouteTable | undefined {
    const source = this.plan.routes
    const scope = source.kind === 'scoped' ? connectScope(plans.scopes, source) : undefined
    return scope === undefined ? undefined : plans.tables.get(scope.table)
  }
}
