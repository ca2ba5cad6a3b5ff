import type { AccessLogPlan } from '#core/plan/http.ts'
import { AccessLog, type LogSink } from './access-log.ts'
import type { LogServices } from './log-services.ts'
import { ServiceLog } from './service-log.ts'

/** An access log, wherever it goes. */
export type Log = Pick<AccessLog, 'add' | 'flush'>

export const logOf = (plan: AccessLogPlan, sink: LogSink, services: LogServices): Log => (plan.service === undefined ? new AccessLog(plan, sink) : new ServiceLog(plan, plan.service, services))
