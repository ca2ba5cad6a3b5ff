import { describe } from 'node:test'
import { shopSuite } from './shop-suite.ts'

describe('the shop on bundled proxies, with PGlite', () => shopSuite(async () => ({ engine: 'weft', database: 'pglite' })))
