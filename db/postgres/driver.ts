import type { Socket } from 'node:net'
import { Pool } from 'pg'
import type { PoolClient } from 'pg'
import type { Doors } from '#core/time/clock.ts'
import { COMMIT, driverError, statementsOf } from '../driver.ts'
import type { Driver, Query, Statement } from '../driver.ts'
import { valueReaders } from '../values.ts'
import { Listening } from './listening.ts'
import { Pipeline } from './pipeline.ts'

const CONNECTIONS_MAX = 10
const CONNECT_TIMEOUT_MS = 5_000
/** The server ends a statement at half a minute (tenancy.ts). From one that says nothing for longer no answer comes: it, or the way to it, is gone, and TCP would wait for a quarter of an hour. */
const ANSWER_TIMEOUT_MS = 40_000

const asText = (text: string): string => text
const types = { getTypeParser: (type: number) => valueReaders[type] ?? asText }

/** A pool of connections to Postgres, and one more for notices. Connects when first used. */
export function openPostgres(url: string, doors: Doors): Driver {
  const pool = new Pool({ connectionString: url, max: CONNECTIONS_MAX, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true, application_name: 'weft', types })
  // Without listeners a server that goes away would end this process. The pool drops the connection by itself, and whoever queries next hears of it.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const listenings = new Set<Listening>()

  /** With a connection of its own, whose transaction is rolled back when `work` fails. */
  async function connected<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect().catch((error: unknown) => {
      throw driverError(error)
    })
    let broken = false
    try {
      return await work(client)
    } catch (error) {
      await client.query('rollback').catch(() => {
        broken = true
      })
      throw error
    } finally {
      client.release(broken)
    }
  }

  /** A client that hears nothing loses its connection, and with that fails whatever it waits for. */
  async function answered<T>(client: PoolClient, asked: Promise<T>): Promise<T> {
    const timer = doors.clock.after(ANSWER_TIMEOUT_MS, () => streamOf(client).destroy(new Error(`the database has not answered for ${ANSWER_TIMEOUT_MS / 1000} s`)))
    try {
      return await asked
    } finally {
      timer.cancel()
    }
  }

  const transaction = <T>(begin: string, work: (query: Query) => Promise<T>): Promise<T> =>
    connected(async (client) => {
      let begun = false
      const query: Query = async (text, params, rows) => {
        try {
          if (!begun) {
            begun = true
            return (await answered(client, piped(client, [...statementsOf(begin), { text, params, rows }]))).at(-1) ?? []
          }
          if (rows === 'array') return (await answered(client, client.query({ text, values: [...params], rowMode: 'array', types }))).rows
          return (await answered(client, client.query({ text, values: [...params], types }))).rows
        } catch (error) {
          throw driverError(error)
        }
      }
      const result = await work(query)
      if (begun) await query('commit', [], 'array')
      return result
    })

  const batch = (begin: string, statements: readonly Statement[]): Promise<unknown[][]> =>
    connected(async (client) => {
      const before = statementsOf(begin)
      const answers = await answered(client, piped(client, [...before, ...statements, COMMIT])).catch((error: unknown) => {
        throw driverError(error)
      })
      return answers.slice(before.length, -1)
    })

  return {
    remote: true,
    transaction,
    batch,
    listen(channel, notice, gap) {
      const listening = new Listening(doors, url, channel, notice, gap)
      listenings.add(listening)
      return () => {
        listenings.delete(listening)
        void listening.close()
      }
    },
    async close() {
      await Promise.all([...listenings].map((listening) => listening.close()))
      await pool.end()
    },
  }
}

/** pg's types do not tell of it. */
const streamOf = (client: PoolClient): Socket => (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream

const piped = (client: PoolClient, statements: readonly Statement[]): Promise<unknown[][]> =>
  new Promise((resolve, reject) => client.query(new Pipeline(statements, types.getTypeParser, resolve, reject)))
