import { describe } from 'node:test'
import { httpProxySuite } from './http-proxy-suite.ts'

describe('HTTP_PROXY on stock Envoys', () => httpProxySuite('envoy'))
