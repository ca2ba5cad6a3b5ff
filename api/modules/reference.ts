import { ModuleProblem } from './problem.ts'

/** An image, as `oci://HOST/PATH:TAG@DIGEST` names it. */
export interface ImageReference {
  /** `registry.example.com:5000` */
  readonly registry: string
  readonly repository: string
  /** A tag, or a digest, `sha256:…`. */
  readonly reference: string
}

const DOCKER = 'index.docker.io'
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/

export const DIGEST = /^sha256:[a-f0-9]{64}$/

/**
 * The registry, repository and tag or digest of an image; as everywhere, one without a registry is Docker's, and one without a tag `latest` (OCI Distribution Specification 1.1, "Pulling manifests").
 * @throws ModuleProblem when it is none
 */
export function readReference(url: string): ImageReference {
  const bare = url.replace(/^oci:\/\//i, '')
  const [named = '', digest, ...more] = bare.split('@')
  const tag = /:([^/:]+)$/.exec(named)
  const whole = tag === null ? named : named.slice(0, tag.index)
  const [first = '', ...rest] = whole.split('/')
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const registry = hasHost && first !== 'docker.io' ? first : DOCKER
  const path = hasHost ? rest.join('/') : whole
  const repository = registry === DOCKER && !path.includes('/') ? `library/${path}` : path
  const reference = digest ?? tag?.[1] ?? 'latest'
  if (more.length > 0 || !HOST.test(registry) || !PATH.test(repository) || repository.length > 255 || !(digest === undefined ? /^\w[\w.-]{0,127}$/.test(reference) : DIGEST.test(reference))) throw new ModuleProblem('it is no image, HOST/PATH:TAG or HOST/PATH@sha256:DIGEST')
  return { registry, repository, reference }
}

/** Where a registry's API is: Docker's images are named by another host than they are had from. Registries on this machine speak HTTP, as for Docker itself. */
export function registryOrigin(registry: string): string {
  const host = registry === DOCKER ? 'registry-1.docker.io' : registry
  return `${/^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host) ? 'http' : 'https'}://${host}`
}
