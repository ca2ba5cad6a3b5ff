import { describe } from 'node:test'
import { startPostgres } from '../parts/postgres.ts'
import { shopSuite } from './shop-suite.ts'

describe('the shop on stock Envoys, with Postgres', () =>
  shopSuite(async () => {
    const postgres = await startPostgres()
    return { engine: 'envoy', database: postgres.url, release: () => postgres.stop() }
  }))
