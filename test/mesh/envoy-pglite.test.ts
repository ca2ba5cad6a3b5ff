import { describe } from 'node:test'
import { shopSuite } from './shop-suite.ts'

describe('the shop on stock Envoys, with PGlite', () => shopSuite(async () => ({ engine: 'envoy', database: 'pglite' })))
