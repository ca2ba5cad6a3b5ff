import { describe } from 'node:test'
import { routerSuite } from './golden-suite.ts'

describe('golden requests, asked of the router', routerSuite)
