import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installHaproxy } from '#infra/parts/haproxy.ts'
import { installNginx } from '#infra/parts/nginx.ts'
import type { Bed, Subject } from './bed.ts'
import type { BenchFiles } from './config.ts'

/** By host; undefined: plaintext. */
type Certificates = Readonly<Record<string, BenchFiles>> | undefined

/** nginx and HAProxy, one worker each, with the same hosts and certificates; they proxy and log, and do nothing of what a mesh does besides. What cannot be had is said and left out. */
export async function peers({ folder, options, report }: Bed, firstPort: number, backend: number, certificates?: Certificates): Promise<Subject[]> {
  if (options.weftOnly) return []
  const subjects: Subject[] = []
  for (const [name, port, make] of [['nginx', firstPort, nginx], ['haproxy', firstPort + 1, haproxy]] as const) {
    try {
      subjects.push({ name, port, commands: [await make(folder, port, backend, certificates)] })
    } catch (error) {
      report.note(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return subjects
}

async function nginx(folder: string, port: number, backend: number, certificates: Certificates): Promise<string[]> {
  const binary = await installNginx()
  const kept = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  const location = `location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Request-Id $request_id; proxy_set_header Host $host; }`
  // The backlog belongs to the port, and is said once.
  const listen = (nth: number, more: string): string => `listen 127.0.0.1:${port}${more}${nth === 0 ? ' backlog=4096' : ''};`
  const servers =
    certificates === undefined
      ? [`  server { ${listen(0, '')} ${location} }`]
      : Object.entries(certificates).map(([host, { certificate, key }], nth) => `  server { ${listen(nth, ' ssl http2')} server_name ${host}; ssl_certificate ${certificate}; ssl_certificate_key ${key}; ${location} }`)
  const file = join(folder, `nginx-${port}.conf`)
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/nginx-${port}.pid; error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log ${folder}/nginx.log combined buffer=64k flush=1s;
  ${kept}
  tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s; ssl_protocols TLSv1.3;
  upstream app { server 127.0.0.1:${backend} weight=90; server localhost:${backend} weight=10; keepalive 256; keepalive_requests 100000000; }
${servers.join('\n')}
}
`,
  )
  return [binary, '-p', folder, '-e', 'stderr', '-c', file]
}

async function haproxy(folder: string, port: number, backend: number, certificates: Certificates): Promise<string[]> {
  const binary = await installHaproxy()
  let tls = ''
  if (certificates !== undefined) {
    const both = join(folder, 'haproxy-certificates')
    mkdirSync(both)
    for (const [host, { certificate, key }] of Object.entries(certificates)) writeFileSync(join(both, `${host}.pem`), readFileSync(certificate, 'utf8') + readFileSync(key, 'utf8'))
    tls = ` ssl crt ${both} alpn h2,http/1.1 ssl-min-ver TLSv1.3`
  }
  const file = join(folder, `haproxy-${port}.cfg`)
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 8192
ring r
  size 1048576
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  log ring@r local0
  option httplog
frontend f
  bind 127.0.0.1:${port} backlog 4096${tls}
  unique-id-format %[uuid()]
  unique-id-header x-request-id
  http-request deny unless { path_beg /b } METH_GET
  default_backend app
backend app
  http-reuse always
  server v1 127.0.0.1:${backend} weight 90
  server v2 127.0.0.1:${backend} weight 10
`,
  )
  return [binary, '-db', '-q', '-f', file]
}
