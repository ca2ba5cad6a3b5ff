import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { RateLimitResponse_RateLimit_Unit as Unit, RateLimitResponseSchema } from '#core/wire/gen/envoy/service/ratelimit/v3/rls_pb.ts'
import { quotaFields } from './quota-fields.ts'

const fieldsOf = (name: string): string => quotaFields(create(RateLimitResponseSchema, { statuses: [{ currentLimit: { name, requestsPerUnit: 5, unit: Unit.MINUTE }, limitRemaining: 3 }] }))

test('a limit’s name cannot end its field, whatever stands in it', () => {
  assert.equal(fieldsOf('per user'), 'x-ratelimit-limit: 5, 5;w=60;name="per user"\r\nx-ratelimit-remaining: 3\r\nx-ratelimit-reset: 0\r\n')
  for (const end of ['\r\nx-role: admin\r\n', '\u010d\u010ax-role: admin', '"\\\0']) {
    const bytes = Buffer.from(fieldsOf(`a${end}`), 'latin1').toString('latin1')
    assert.deepEqual(bytes.split(/[\r\n]+/).map((line) => line.split(':')[0]), ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', ''], bytes)
    assert.ok(!bytes.includes('\0') && !bytes.includes('\\'))
  }
})
