/** Istio's standard metrics of requests (istio.io/latest/docs/reference/config/metrics), without their prefix `istio_`. */
export const metricNames = ['requests_total', 'request_duration_milliseconds', 'request_bytes', 'response_bytes', 'request_messages_total', 'response_messages_total'] as const
export type MetricName = (typeof metricNames)[number]

/** What is changed of one metric, as Istio's `stats.PluginConfig` has it. */
export interface MetricRulePlan {
  readonly name: MetricName
  readonly dropped: boolean
  /** Labels that are left out. */
  readonly removed: readonly string[]
  /** Labels that are set, each from an expression of CEL over the request. */
  readonly tags: readonly { readonly tag: string; readonly expression: string }[]
}
