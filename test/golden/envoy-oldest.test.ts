import { describe } from 'node:test'
import { ENVOY_VERSIONS } from '#infra/parts/envoy.ts'
import { liveSuite } from './golden-suite.ts'

const [oldest] = ENVOY_VERSIONS

describe(`golden requests through Envoy ${oldest}`, () => liveSuite('envoy', oldest))
