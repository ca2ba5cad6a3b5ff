import { describe } from 'node:test'
import { liveSuite } from './golden-suite.ts'

describe('golden requests through bundled proxies', () => liveSuite('weft'))
