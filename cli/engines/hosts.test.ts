import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { Hosts, type Host, thisMachine, whyNoNamespaces } from './hosts.ts'

async function said(host: Host, address: string, port: number): Promise<string> {
  try {
    const socket = await host.dial(address, port)
    let text = ''
    for await (const bytes of socket as AsyncIterable<Buffer>) text += bytes.toString()
    return text
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test('hosts reach each other at their own addresses, each sees who calls, and nothing else is there', async (t) => {
  const lacking = whyNoNamespaces()
  if (lacking !== undefined) return t.skip(lacking)
  const hosts = await Hosts.open(new Map([['10.0.0.1', { captured: false }], ['10.0.0.2', { captured: false }], ['10.0.0.3', { captured: true }]]), {})
  t.after(() => hosts.close())
  const greeting = net.createServer((socket) => socket.end(`hello ${socket.remoteAddress ?? ''}`))
  t.after(() => void greeting.close())
  await hosts.at('10.0.0.2').listen(greeting, '10.0.0.2', 80)

  assert.equal(await said(hosts.at('10.0.0.1'), '10.0.0.2', 80), 'hello 10.0.0.1')
  assert.equal(await said(hosts.middle, '10.0.0.2', 80), 'hello 169.254.1.1')
  assert.match(await said(hosts.at('10.0.0.1'), '10.0.0.9', 80), /ENETUNREACH|EHOSTUNREACH/)
  // Its proxy, which is not there, would take it.
  assert.match(await said(hosts.at('10.0.0.3'), '10.0.0.2', 80), /ECONNREFUSED/)

  const plane = net.createServer((socket) => socket.end('from this machine'))
  t.after(() => void plane.close())
  await thisMachine.listen(plane, '127.0.0.1', 0)
  const at = plane.address()
  const port = typeof at === 'object' && at !== null ? at.port : 0
  await hosts.forward(port)
  assert.equal(await said(hosts.at('10.0.0.3'), '127.0.0.1', port), 'from this machine')
})
