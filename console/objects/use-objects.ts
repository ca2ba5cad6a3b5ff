import type { ResourceObject } from '#core/resource/object.ts'
import { useEffect, useState } from 'react'
import { getItems, meshPath } from '../session/rest.ts'

export interface Objects {
  /** Undefined until the first answer. */
  readonly items: readonly ResourceObject[] | undefined
  /** The mesh has more than are shown. */
  readonly more: boolean
  readonly problem: string | undefined
}

export const objectsMax = 5000

/** The mesh's configuration, read anew when its revision moves on. */
export function useObjects(origin: string, key: string, mesh: string, revision: number): Objects {
  const [objects, setObjects] = useState<Objects>({ items: undefined, more: false, problem: undefined })
  useEffect(() => {
    const end = new AbortController()
    getItems<ResourceObject>(origin, `${meshPath(mesh)}/resources?limit=500`, key, objectsMax, end.signal).then(
      ({ items, more }) => setObjects({ items, more, problem: undefined }),
      (error: unknown) => {
        if (!end.signal.aborted) setObjects((known) => ({ ...known, problem: error instanceof Error ? error.message : String(error) }))
      },
    )
    return () => end.abort()
  }, [origin, key, mesh, revision])
  return objects
}
