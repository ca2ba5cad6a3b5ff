import assert from 'node:assert/strict'
import test from 'node:test'
import type { RedirectAction } from '../plan/route.ts'
import { redirectLocation } from './redirect.ts'
import { requestFrom } from './request.ts'

const nothing: RedirectAction = { kind: 'redirect', status: 301, scheme: undefined, host: undefined, port: undefined, path: undefined, prefixRewrite: undefined, stripQuery: false }

const cases: { name: string; action: Partial<RedirectAction>; authority?: string; scheme?: 'http' | 'https'; to: string }[] = [
  { name: 'to https leaves the default port behind', action: { scheme: 'https' }, authority: 'a.com:80', to: 'https://a.com/x/y?q=1' },
  { name: 'to https keeps another port', action: { scheme: 'https' }, authority: 'a.com:8080', to: 'https://a.com:8080/x/y?q=1' },
  { name: 'to a port replaces the one that was asked for', action: { port: 8443 }, authority: 'a.com:80', to: 'http://a.com:8443/x/y?q=1' },
  { name: 'of an IPv6 host finds its port', action: { port: 8443 }, authority: '[::1]:80', to: 'http://[::1]:8443/x/y?q=1' },
  { name: 'of an IPv6 host without a port', action: { port: 8443 }, authority: '[::1]', to: 'http://[::1]:8443/x/y?q=1' },
  { name: 'to a host', action: { host: 'b.com' }, to: 'http://b.com/x/y?q=1' },
  { name: 'to a path keeps the query', action: { path: '/z' }, to: 'http://a.com/z?q=1' },
  { name: 'to a path with a query of its own', action: { path: '/z?r=2', stripQuery: true }, to: 'http://a.com/z?r=2' },
  { name: 'that strips the query', action: { stripQuery: true }, to: 'http://a.com/x/y' },
  { name: 'that rewrites the prefix', action: { prefixRewrite: { from: '/x', to: '/w' } }, to: 'http://a.com/w/y?q=1' },
]
for (const { name, action, authority = 'a.com', scheme = 'http', to } of cases) {
  test(`a redirect ${name}`, () => {
    assert.equal(redirectLocation({ ...nothing, ...action }, requestFrom({ authority, path: '/x/y?q=1', scheme })), to)
  })
}
