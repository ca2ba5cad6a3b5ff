import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseObject } from './parse.ts'
import { kinds } from './registry.ts'
import { HIDDEN, redact, restoreHidden } from './redact.ts'
import { readDocuments } from './documents.ts'
import { formatPath, parsePath } from './path.ts'

const route = (extra: object, weight: number) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'order-service', namespace: 'prod' },
  spec: { hosts: ['order-service'], http: [{ route: [{ destination: { host: 'order-service' }, weight: 10 }, { destination: { host: 'order-service' }, weight }], ...extra }] },
})

test('every kind accepts its own example', () => {
  for (const kind of kinds) {
    // Every EnvoyFilter is accepted with the warning that Istio gives.
    const faults = parseObject(kind.example).faults.filter((one) => kind.kind !== 'EnvoyFilter' || one.severity === 'error')
    assert.deepEqual(faults, [], kind.kind)
  }
})

test('a weight of 150 is refused by its path, with the rule', () => {
  const [only, ...more] = parseObject(route({}, 150)).faults
  assert.deepEqual(more, [])
  assert.equal(only?.code, 'virtual-service.weight')
  assert.equal(only?.path, 'spec.http[0].route[1].weight')
  assert.equal(only?.value, 150)
  assert.equal(only?.rule, '0..100')
})

test('an unknown field is named with the one that was probably meant', () => {
  const [only] = parseObject(route({ retries: { attempts: 3, retryon: '5xx' } }, 90)).faults
  assert.equal(only?.code, 'object.field-unknown')
  assert.equal(only?.path, 'spec.http[0].retries.retryon')
  assert.equal(only?.hint, 'did you mean "retryOn"?')
})

test('all findings come at once', () => {
  const { faults } = parseObject({ ...route({ timeout: 'soon', retries: { attempts: 'three' } }, 150), metadata: { name: 'Order', namespace: 'prod', lables: {} } })
  assert.deepEqual(faults.map((one) => one.path).sort(), ['metadata.lables', 'spec.http[0].retries.attempts', 'spec.http[0].route[1].weight', 'spec.http[0].timeout'])
})

test('a union says what any of its branches would have taken', () => {
  const { faults } = parseObject({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a', namespace: 'b' }, spec: { ports: [{ port: 80, targetPort: true }] } })
  assert.equal(faults[0]?.path, 'spec.ports[0].targetPort')
  assert.equal(faults[0]?.rule, 'a number, or text')
})

test('a kind that belongs to a cluster is left out with a warning', () => {
  const parsed = parseObject({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a' }, spec: {} })
  assert.equal(parsed.object, undefined)
  assert.deepEqual(parsed.faults.map((one) => [one.code, one.severity]), [['object.skipped', 'warning']])
})

test('an unknown kind is refused, and the near one is named', () => {
  const parsed = parseObject({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualServise', metadata: { name: 'a' } })
  assert.equal(parsed.faults[0]?.code, 'object.kind')
  assert.match(parsed.faults[0]?.hint ?? '', /VirtualService/)
})

test('a look-ahead is refused where patterns are RE2', () => {
  const { faults } = parseObject(route({ match: [{ uri: { regex: '/a(?=b)' } }] }, 90))
  assert.equal(faults[0]?.path, 'spec.http[0].match[0].uri.regex')
})

test('a secret is shown by its names alone, and keeps its value when the placeholder comes back', () => {
  const stored = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'n', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"a":"YQ=="}}' } }, data: { a: 'YQ==' } }
  const shown = redact(stored)
  assert.deepEqual(shown['data'], { a: HIDDEN })
  assert.equal(JSON.stringify(shown).includes('YQ=='), false)
  assert.deepEqual(restoreHidden({ ...shown, data: { a: HIDDEN, b: 'Yg==' } }, stored)['data'], { a: 'YQ==', b: 'Yg==' })
})

test('a fault about a secret never repeats its value', () => {
  const { faults } = parseObject({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'n' }, data: { password: 'not base64!' } })
  assert.equal(faults[0]?.path, 'data.password')
  assert.equal(JSON.stringify(faults).includes('not base64!'), false)
})

test('a document knows the line of each of its fields', () => {
  const { documents } = readDocuments('kind: A\n---\nkind: B\nspec:\n  http:\n  - route:\n    - weight: 1\n    - weight: 150\n', 'a.yaml')
  assert.equal(documents.length, 2)
  assert.equal(documents[1]?.lineOf('spec.http[0].route[1].weight'), 8)
  assert.equal(documents[1]?.lineOf('spec.nothing'), 4)
})

test('an alias bomb is refused by its file and line, and costs nothing', () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghi'[index]}`).join(',')}]`)].join('\n')
  const { documents, faults } = readDocuments(bomb, 'bomb.yaml')
  assert.deepEqual(documents, [])
  assert.equal(faults[0]?.code, 'object.unreadable')
  assert.equal(faults[0]?.source?.file, 'bomb.yaml')
})

test('any text is read as documents or refused with faults', () => {
  const piece = fc.constantFrom('a: ', '- ', '{', '}', '[', ']', '&a ', '*a', '<<: ', '!!binary ', '? ', '|\n', '"', "'", '\n', '---\n', '#', '%YAML 1.1\n', '\t', 'kind: List\nitems:\n')
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))), (text) => {
      for (const { value, lineOf } of readDocuments(text, 'any.yaml').documents) {
        assert.ok(lineOf('spec.http[0]') >= 1)
        parseObject(value)
      }
    }),
    { numRuns: 1000 },
  )
})

test('deep nesting and great length are refused', () => {
  for (const text of ['['.repeat(100_000), `${'- '.repeat(50_000)}a`, 'x'.repeat(6_000_000)]) {
    const { documents, faults } = readDocuments(text, 'deep.yaml')
    assert.deepEqual(documents, [])
    assert.equal(faults[0]?.code, 'object.unreadable')
  }
})

test('a path reads back as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(), fc.string())), (path) => {
      assert.deepEqual(parsePath(formatPath(path)), path)
    }),
  )
})

test('whatever comes in, the answer is an object or faults', () => {
  const head = fc.constantFrom(...kinds.map((kind) => ({ apiVersion: kind.example.apiVersion, kind: kind.kind })))
  fc.assert(
    fc.property(head, fc.jsonValue(), fc.jsonValue(), (which, metadata, spec) => {
      const parsed = parseObject({ ...which, metadata, spec, data: spec })
      assert.equal(parsed.object !== undefined || parsed.faults.length > 0, true)
    }),
    { numRuns: 500 },
  )
})

test('an example with one field replaced by anything never makes the parser throw', () => {
  const paths = (value: unknown, at: (string | number)[] = []): (string | number)[][] =>
    value !== null && typeof value === 'object' ? [at, ...Object.entries(value).flatMap(([name, one]) => paths(one, [...at, Array.isArray(value) ? Number(name) : name]))] : [at]
  const replaced = (value: unknown, path: readonly (string | number)[], by: unknown): unknown => {
    const [first, ...rest] = path
    if (first === undefined) return by
    if (Array.isArray(value)) return value.map((one, index) => (index === first ? replaced(one, rest, by) : one))
    return { ...(value as object), [first]: replaced((value as Record<string, unknown>)[first], rest, by) }
  }
  const cases = kinds.flatMap((kind) => paths(kind.example).map((path) => ({ example: kind.example, path })))
  fc.assert(
    fc.property(fc.constantFrom(...cases), fc.oneof(fc.jsonValue(), fc.string(), fc.double()), ({ example, path }, by) => {
      const parsed = parseObject(replaced(example, path, by))
      assert.equal(parsed.object !== undefined || parsed.faults.length > 0, true)
    }),
    { numRuns: 2000 },
  )
})

test('a key that a map has already is a fault with its line, and a map of very many keys is read at once', () => {
  const { faults } = readDocuments('a:\n  b: 1\n  c: 2\n  b: 3\n', 'twice.yaml')
  assert.deepEqual(faults.map((one) => [one.rule, one.source?.line]), [['YAML: Map keys must be unique', 4]])
  const began = performance.now()
  const { documents } = readDocuments(Array.from({ length: 100_000 }, (_, at) => `key${at}: 1`).join('\n'), 'wide.yaml')
  assert.equal(documents.length, 1)
  assert.ok(performance.now() - began < 60_000, 'keys are compared with all before them')
})
