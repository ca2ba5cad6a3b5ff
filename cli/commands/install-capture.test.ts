import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../usage.ts'
import { run } from './install-capture.ts'

test('an interception mode that is not there is refused, and says what it would take', () => {
  assert.throws(() => run(['--mode', 'TPROXY', '--print']), (error) => error instanceof UsageError && /TPROXY is not there.*CAP_NET_ADMIN.*REDIRECT/.test(error.message))
  assert.throws(() => run(['--mode', 'BOTH', '--print']), (error) => error instanceof UsageError && /"BOTH" is not REDIRECT/.test(error.message))
})
