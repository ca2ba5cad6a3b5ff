export type { ProxyStatus, Rejection, TypeStatus } from '#core/contract/proxy-status.ts'
