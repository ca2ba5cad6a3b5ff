import { describe } from 'node:test'
import { startPostgres } from '../parts/postgres.ts'
import { shopSuite } from './shop-suite.ts'

describe('the shop on bundled proxies, with Postgres', () =>
  shopSuite(async () => {
    const postgres = await startPostgres()
    return { engine: 'weft', database: postgres.url, release: () => postgres.stop() }
  }))
