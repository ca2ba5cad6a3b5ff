/** A browser as far as sign-ins need one: it keeps cookies by origin, sends them back, and is led by nobody whom the test does not follow. */
export class BrowserLike {
  readonly #cookies = new Map<string, Map<string, string>>()

  /** Redirects are answered as they are. */
  async visit(url: URL | string, form?: Readonly<Record<string, string>>): Promise<Response> {
    const { origin } = new URL(url)
    const kept = this.#cookies.get(origin) ?? new Map<string, string>()
    this.#cookies.set(origin, kept)
    const response = await fetch(url, {
      redirect: 'manual',
      headers: kept.size === 0 ? {} : { cookie: [...kept].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      kept.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return response
  }

  /** Where a page sends whoever visits it. @throws Error when it does not */
  async sentOn(url: URL | string): Promise<URL> {
    const response = await this.visit(url)
    const text = await response.text()
    const location = response.headers.get('location')
    if (location === null) throw new Error(`${new URL(url).pathname} sends nobody on: ${response.status} ${text.slice(0, 500)}`)
    return new URL(location, url)
  }

  cookies(origin: string): ReadonlyMap<string, string> {
    return this.#cookies.get(origin) ?? new Map()
  }
}
