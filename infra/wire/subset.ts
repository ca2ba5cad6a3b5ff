import { create } from '@bufbuild/protobuf'
import {
  type DescriptorProto,
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldOptionsSchema,
  type FileDescriptorProto,
  MessageOptionsSchema,
} from '@bufbuild/protobuf/wkt'

/**
 * The files that the roots need, options stripped, JSON names filled, imports before importers.
 * The order depends on the roots and imports alone. Running it on its own result changes nothing.
 * @throws when a root or an import is not among the files
 */
export function takeSubset(files: readonly FileDescriptorProto[], roots: readonly string[], annotations: readonly string[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]))
  const taken = new Map<string, FileDescriptorProto>()
  const visit = (name: string, importer: string): void => {
    if (taken.has(name)) return
    const file = byName.get(name)
    if (file === undefined) throw new Error(`${name}, wanted by ${importer}, is not among the descriptors: run "npm run wire"`)
    const bare = stripFile(file, annotations)
    for (const dependency of bare.dependency) visit(dependency, name)
    taken.set(name, bare)
  }
  for (const root of [...roots].sort()) visit(root, 'the roots')
  return [...taken.values()]
}

/** Without options and without the imports that only served them. The well-known types come with the runtime and stay as they are. */
function stripFile(file: FileDescriptorProto, annotations: readonly string[]): FileDescriptorProto {
  if (file.name.startsWith('google/protobuf/')) return file
  const kept = file.dependency.filter((name) => !annotations.some((prefix) => name.startsWith(prefix)))
  // Public imports are indices into the list of imports, which has just become shorter.
  const reindex = (indices: readonly number[]): number[] => indices.map((index) => kept.indexOf(file.dependency[index] ?? '')).filter((index) => index >= 0)
  const { options: _options, sourceCodeInfo: _sourceCodeInfo, ...rest } = file
  return {
    ...rest,
    dependency: kept,
    publicDependency: reindex(file.publicDependency),
    weakDependency: reindex(file.weakDependency),
    messageType: file.messageType.map(stripMessage),
    enumType: file.enumType.map(stripEnum),
    extension: file.extension.map(stripField),
    service: file.service.map(({ options: _service, ...service }) => ({
      ...service,
      method: service.method.map(({ options: _method, ...method }) => method),
    })),
  }
}

function stripMessage(message: DescriptorProto): DescriptorProto {
  const { options, ...rest } = message
  return {
    ...rest,
    field: message.field.map(stripField),
    extension: message.extension.map(stripField),
    nestedType: message.nestedType.map(stripMessage),
    enumType: message.enumType.map(stripEnum),
    oneofDecl: message.oneofDecl.map(({ options: _oneof, ...oneof }) => oneof),
    // map_entry is no annotation: it is what makes a map of a repeated message.
    ...(options?.mapEntry || options?.deprecated ? { options: create(MessageOptionsSchema, pick(options, ['mapEntry', 'deprecated'])) } : {}),
  }
}

function stripEnum(type: EnumDescriptorProto): EnumDescriptorProto {
  const { options, ...rest } = type
  return {
    ...rest,
    value: type.value.map(({ options: value, ...bare }) => ({
      ...bare,
      ...(value?.deprecated ? { options: create(EnumValueOptionsSchema, { deprecated: true }) } : {}),
    })),
    ...(options?.allowAlias || options?.deprecated ? { options: create(EnumOptionsSchema, pick(options, ['allowAlias', 'deprecated'])) } : {}),
  }
}

function stripField(field: FieldDescriptorProto): FieldDescriptorProto {
  const { options, ...rest } = field
  const packed = options !== undefined && Object.hasOwn(options, 'packed') // explicit presence: false differs from unset
  return {
    ...rest,
    // protoc leaves the JSON name out of what it writes into Python; without it fromJson knows no lower camel case.
    jsonName: jsonName(field.name),
    ...(options !== undefined && (packed || options.deprecated)
      ? { options: create(FieldOptionsSchema, pick(options, packed ? ['packed', 'deprecated'] : ['deprecated'])) }
      : {}),
  }
}

/** `filter_chains` → `filterChains`, by the rule of protoc: an underscore goes and raises the letter behind it. */
export function jsonName(name: string): string {
  return name.replace(/_+([^_]?)/g, (_, letter: string) => letter.toUpperCase())
}

function pick<T extends object, K extends keyof T & string>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {}
  for (const key of keys) if (from[key]) picked[key] = from[key]
  return picked
}
