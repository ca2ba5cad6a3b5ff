import { escapeRegex } from './message.ts'

/** A path with `{*}` (one segment) and `{**}` (any rest, none included) as RE2 over the whole path: istio.io, AuthorizationPolicy.Operation.paths. */
export function pathTemplateRegex(template: string): string {
  return template
    .split('/')
    .map((segment) => (segment === '{*}' ? '[^/]+' : segment === '{**}' ? '.*' : escapeRegex(segment)))
    .join('/')
}
