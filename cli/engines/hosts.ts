import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import net from 'node:net'
import path from 'node:path'

/** Opens a connection; rejects where it cannot be had. */
export type Dial = (address: string, port: number, source?: string) => Promise<net.Socket>

/** Where something runs: the machine itself, or a network namespace. */
export interface Host {
  /** A command and its words, so that it runs there. */
  command(words: readonly [string, ...string[]]): readonly [string, ...string[]]
  listen(server: net.Server, address: string, port: number): Promise<void>
  readonly dial: Dial
}

/** What a host's process is asked, and what it answers, with a socket beside it where there is no error; the answer 0 is that it is ready. */
export type ToHost = { readonly id: number; readonly address: string; readonly port: number } & ({ readonly verb: 'listen' } | { readonly verb: 'dial'; readonly source?: string | undefined })
export interface FromHost {
  readonly id: number
  readonly error?: string
}

const begun = (server: net.Server, how: net.ListenOptions | net.Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(how, resolve)
  })

export const thisMachine: Host = {
  command: (words) => words,
  listen: (server, host, port) => begun(server, { host, port, exclusive: true }),
  dial: (host, port, source) =>
    new Promise((resolve, reject) => {
      const socket = net.connect({ host, port, ...(source === undefined ? {} : { localAddress: source }) })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(socket)
      })
    }),
}

const TOOLS = [['unshare', 'util-linux'], ['nsenter', 'util-linux'], ['ip', 'iproute2'], ['nft', 'nftables']] as const

/** Why this machine has no network namespaces for us; undefined: it has. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are Linux’s'
  if (process.getuid?.() !== 0) return 'network namespaces are made by root alone'
  for (const [tool, debianPackage] of TOOLS) if (spawnSync(tool, ['--version']).error !== undefined) return `${tool} is not installed (Debian’s ${debianPackage})`
  const tried = spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { encoding: 'utf8' })
  return tried.status === 0 ? undefined : `no network namespace can be made: ${tried.stderr.trim()}`
}

/** The next hop of every host (RFC 3927; RFC 4291), which passes between them what is theirs and refuses the rest; and from where it calls by IPv6, which no host has. */
export const NEXT_HOP = '169.254.1.1'
const NEXT_HOP_SIX = 'fe80::1'
const MIDDLE_SIX = 'fd51:ffff::1'

/**
 * Hosts of a case, each a network namespace with an address or one of each family, whose connections the proxy captures where it has one; and `middle`, through which they reach each other,
 * and from which callers call who are not of the mesh. They end when their processes do, so nothing is left behind.
 */
export class Hosts {
  readonly #middle: NamespaceHost
  readonly #hosts = new Map<string, NamespaceHost>()
  /** All that a host has, by the one that it goes by. */
  readonly #addresses = new Map<string, readonly string[]>()

  private constructor(middle: NamespaceHost) {
    this.#middle = middle
  }

  /** @param addresses of the hosts that there will be, each once, with all that it has, and whether its connections are captured. @param names what look-ups are answered, the addresses of each name. @param reached ports to which connections are not captured. @throws Error with the words of the tool that fails */
  static async open(addresses: ReadonlyMap<string, { readonly addresses?: readonly string[]; readonly captured: boolean }>, names: Readonly<Record<string, readonly string[]>>, reached: readonly number[] = []): Promise<Hosts> {
    const hosts = new Hosts(new NamespaceHost('middle', names))
    try {
      for (const [address, { addresses: all = [address], captured }] of addresses) {
        hosts.#hosts.set(address, new NamespaceHost(captured ? 'capture' : 'host', {}, reached))
        hosts.#addresses.set(address, all)
      }
      await Promise.all([hosts.#middle, ...hosts.#hosts.values()].map((one) => one.ready()))
      hosts.#link()
      return hosts
    } catch (error) {
      hosts.close()
      throw error
    }
  }

  get middle(): Host {
    return this.#middle
  }

  /** @throws Error when there is none with this address */
  at(address: string): Host {
    const found = this.#hosts.get(address)
    if (found === undefined) throw new Error(`no host has the address ${address}`)
    return found
  }

  /** Connections on every host to loopback's `port` go on to this process's. */
  async forward(port: number): Promise<void> {
    for (const host of this.#hosts.values()) {
      const server = net.createServer((near) => {
        const far = net.connect({ host: '127.0.0.1', port })
        near.pipe(far).pipe(near)
        for (const [one, other] of [[near, far], [far, near]] as const) one.on('error', () => other.destroy()).on('close', () => other.destroy())
      })
      await host.listen(server, '127.0.0.1', port)
      host.onEnd(() => server.close())
    }
  }

  close(): void {
    for (const one of [this.#middle, ...this.#hosts.values()]) one.end()
  }

  #link(): void {
    const all = [...this.#hosts].map(([address, host], index) => ({ addresses: this.#addresses.get(address) ?? [address], host, link: `link${index}` }))
    const sixes = all.some(({ addresses }) => addresses.some(isSix))
    this.#middle.ip([
      'link set lo up',
      'address add 169.254.1.1/32 dev lo',
      'route add unreachable default',
      ...(sixes ? [`address add ${MIDDLE_SIX}/128 dev lo nodad`] : []),
      ...all.flatMap(({ addresses, host, link }) => [
        `link add ${link} type veth peer name link0 netns ${host.pid}`,
        `address add ${NEXT_HOP}/32 dev ${link}`,
        ...(addresses.some(isSix) ? [`address add ${NEXT_HOP_SIX}/64 dev ${link} nodad`] : []),
        `link set ${link} up`,
        ...addresses.map((address) => (isSix(address) ? `route add ${address}/128 dev ${link} src ${MIDDLE_SIX}` : `route add ${address}/32 dev ${link} src ${NEXT_HOP}`)),
      ]),
    ])
    for (const { addresses, host } of all) {
      host.ip([
        'link set lo up',
        ...addresses.map((address) => `address add ${address}/${isSix(address) ? '128 dev link0 nodad' : '32 dev link0'}`),
        'link set link0 up',
        ...(addresses.every(isSix) ? [] : [`route add default via ${NEXT_HOP} dev link0 onlink`]),
        ...(addresses.some(isSix) ? [`route add ::/0 via ${NEXT_HOP_SIX} dev link0`] : []),
      ])
    }
  }
}

const isSix = (address: string): boolean => address.includes(':')

interface Asked {
  readonly resolve: (handle: net.Server | net.Socket | undefined) => void
  readonly reject: (error: Error) => void
}

/** A network namespace, and the process that holds it and opens sockets there. */
class NamespaceHost implements Host {
  readonly #child: ChildProcess
  readonly #asked = new Map<number, Asked>()
  readonly #onEnd: (() => void)[] = []
  #count = 0

  constructor(kind: 'capture' | 'host' | 'middle', names: Readonly<Record<string, readonly string[]>>, reached: readonly number[] = []) {
    this.#child = spawn('unshare', ['--net', process.execPath, '--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'host-process.ts'), kind, JSON.stringify(names), JSON.stringify(reached)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child.on('message', (message, handle) => this.#hear(message as FromHost, handle as net.Server | net.Socket | undefined))
    this.#child.on('error', (error) => this.#failAll(error))
    this.#child.on('exit', () => this.#failAll(new Error('the process of a network namespace ended')))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => this.#asked.set(0, { resolve: () => resolve(), reject }))
  }

  command(words: readonly [string, ...string[]]): readonly [string, ...string[]] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, ...words]
  }

  async listen(server: net.Server, address: string, port: number): Promise<void> {
    const handed = await this.#ask((id) => ({ id, verb: 'listen', address, port }))
    if (!(handed instanceof net.Server)) throw new Error(`${address}:${port} was not handed over`)
    await begun(server, handed)
  }

  readonly dial: Dial = async (address, port, source) => {
    const handed = await this.#ask((id) => ({ id, verb: 'dial', address, port, source }))
    if (!(handed instanceof net.Socket)) throw new Error('closed at once')
    return handed
  }

  /** Commands of `ip`, in the namespace. @throws Error with its words */
  ip(lines: readonly string[]): void {
    const [command, ...words] = this.command(['ip', '-batch', '-'])
    const { status, stderr, error } = spawnSync(command, words, { input: `${lines.join('\n')}\n`, encoding: 'utf8' })
    if (error !== undefined) throw error
    if (status !== 0) throw new Error(`ip: ${stderr.trim()}`)
  }

  onEnd(then: () => void): void {
    this.#onEnd.push(then)
  }

  end(): void {
    for (const one of this.#onEnd) one()
    if (this.#child.connected) this.#child.disconnect()
  }

  #ask(words: (id: number) => ToHost): Promise<net.Server | net.Socket | undefined> {
    const id = ++this.#count
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.#child.send(words(id), (error) => (error === null ? undefined : this.#hear({ id, error: error.message }, undefined)))
    })
  }

  #hear({ id, error }: FromHost, handle: net.Server | net.Socket | undefined): void {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === undefined) asked?.resolve(handle)
    else asked?.reject(new Error(error))
  }

  #failAll(error: Error): void {
    for (const one of this.#asked.values()) one.reject(error)
    this.#asked.clear()
  }
}
