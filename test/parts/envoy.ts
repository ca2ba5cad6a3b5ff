export { ENVOY_NEWEST, ENVOY_VERSIONS, installEnvoy } from '#infra/parts/envoy.ts'
