import type { ResourceObject } from '#core/resource/object.ts'
import { apiVersionOf } from '#core/resource/registry.ts'
import { metadataOf } from './media-type.ts'
import { presentText } from './present.ts'
import { objectsOf } from './read.ts'
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

/** The same of a list, as JSON. An object that has not changed since it was last listed is not written out again. */
export function shownList(request: ObjectsRequest, list: ObjectList): string {
  const { form, include, kind, version, doors, target } = request
  const metadata = { resourceVersion: String(list.revision), ...(list.continue === undefined ? {} : { continue: list.continue }) }
  switch (form.as) {
    case 'object': {
      const head = JSON.stringify({ kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind, version), metadata })
      return `${head.slice(0, -1)},"items":[${list.stored.map((stored) => presentText(doors, target.mesh, kind, stored, version)).join(',')}]}`
    }
    case 'PartialObjectMetadata':
      return JSON.stringify({ kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${form.version}`, metadata, items: objectsOf(request, list).map((object) => metadataOf(object, form.version)) })
    case 'Table':
      return JSON.stringify(tableOf(kind, objectsOf(request, list), doors.wallMs(), { include, version: form.version }, metadata))
  }
}
