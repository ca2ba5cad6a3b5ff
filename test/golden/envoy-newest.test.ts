import { describe } from 'node:test'
import { ENVOY_NEWEST } from '#infra/parts/envoy.ts'
import { liveSuite } from './golden-suite.ts'

describe(`golden requests through Envoy ${ENVOY_NEWEST}`, () => liveSuite('envoy', ENVOY_NEWEST))
