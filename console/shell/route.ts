/** Where on the page one is, as the URL's fragment says it: `#/proxies`, `#/objects/VirtualService/prod/order-service`. */
export type Route = { readonly screen: 'topology' } | { readonly screen: 'proxies' } | { readonly screen: 'objects'; readonly object: string | undefined }

export function readRoute(fragment: string): Route {
  const [screen = '', ...rest] = fragment.replace(/^#\/?/, '').split('/').map(decode)
  if (screen === 'proxies') return { screen: 'proxies' }
  if (screen === 'objects') return { screen: 'objects', object: rest.length > 0 && rest.every((part) => part !== '') ? rest.join('/') : undefined }
  return { screen: 'topology' }
}

export function writeRoute(route: Route): string {
  if (route.screen !== 'objects' || route.object === undefined) return `#/${route.screen}`
  return `#/objects/${route.object.split('/').map(encodeURIComponent).join('/')}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not percent-encoded by us: taken as it stands.
    return text
  }
}
