import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, createFileRegistry, type DescField, type DescFile } from '@bufbuild/protobuf'
import { nestedTypes } from '@bufbuild/protobuf/reflect'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { files } from './gen/files.ts'

const withImports = (file: DescFile, into = new Map<string, DescFile>()): Map<string, DescFile> => {
  if (into.has(file.name)) return into
  for (const one of file.dependencies) withImports(one, into)
  return into.set(file.name, file)
}

const wordsOf = (field: DescField): string => `${field.number} ${field.name} ${field.jsonName} ${field.fieldKind} ${field.message?.typeName ?? field.enum?.typeName ?? ''}`

test('descriptors are those that the library makes of the same files, with all that they import', () => {
  const all = new Map<string, DescFile>()
  for (const file of files) withImports(file, all)
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...all.values()].map(({ proto }) => proto) }))
  for (const file of files) {
    const expected = registry.getFile(file.proto.name)
    assert.ok(expected)
    assert.deepEqual(file.dependencies.map(({ name }) => name), expected.dependencies.map(({ name }) => name))
    const types = [...nestedTypes(file)]
    assert.deepEqual(types.map(({ typeName }) => typeName), [...nestedTypes(expected)].map(({ typeName }) => typeName))
    for (const type of types) {
      if (type.kind !== 'message') continue
      assert.deepEqual(type.fields.map(wordsOf), registry.getMessage(type.typeName)?.fields.map(wordsOf), type.typeName)
      // One type is one descriptor, whichever file leads to it.
      for (const { message } of type.fields) if (message !== undefined) assert.equal(message.file, all.get(message.file.name), message.typeName)
    }
  }
})
