import type { Resource } from '#api/serve/resource.ts'
import { cluster, endpoints, listener, routes } from '../peers/hand-made.ts'

/** Configuration as of a step: the same on every replica, another in every part at each step. */
export const pushed = (step: number, a: string, b: string): Resource[] => [
  listener('l', 'r'),
  cluster('a', `${1 + (step % 5)}s`),
  cluster('b', `${1 + (step % 3)}s`),
  endpoints('a', a),
  endpoints('b', b),
  routes('r', { a: 1 + (step % 98), b: 99 - (step % 98) }),
]
