import type { ResourceObject } from '#core/resource/object.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import { metadataOf } from './media-type.ts'
import type { ObjectList } from './read.ts'
import type { ObjectsRequest } from './request.ts'
import { tableOf } from './table.ts'

/** One object in the form that the request asks for. */
export function shownObject({ form, include, kind, doors }: ObjectsRequest, object: ResourceObject): unknown {
  switch (form.as) {
    case 'object':
      return object
    case 'PartialObjectMetadata':
      return metadataOf(object, form.version)
    case 'Table':
      return tableOf(kind, [object], doors.wallMs(), { include, version: form.version }, { resourceVersion: object.metadata.resourceVersion })
  }
}

export function shownList({ form, include, kind, version, doors }: ObjectsRequest, list: ObjectList): unknown {
  const metadata = {
    resourceVersion: String(list.revision),
    ...(list.continue === undefined ? {} : { continue: list.continue }),

  }
  switch (form.as) {
    case 'object':
      return { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind, version), metadata, items: list.items }
    case 'PartialObjectMetadata':
      return { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${form.version}`, metadata, items: list.items.map((object) => metadataOf(object, form.version)) }
    case 'Table':
      return tableOf(kind, list.items, doors.wallMs(), { include, version: form.version }, metadata)
  }
}
