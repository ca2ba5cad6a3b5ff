import { X509Certificate } from 'node:crypto'
import { parseCertificates } from '../identity/certificate.ts'
import type { Secrets } from '../identity/secrets.ts'
import type { ClusterReport } from '../telemetry/reports.ts'

/** Envoy's text form of `/clusters`: `CLUSTER::ADDRESS::NAME::VALUE`, a fact a line. */
export function clustersText(reports: readonly ClusterReport[]): string {
  const lines: string[] = []
  for (const report of reports) {
    const { name } = report
    lines.push(
      `${name}::observability_name::${name}`,
      `${name}::default_priority::cx_active::${report.connections}`,
      `${name}::default_priority::rq_pending::${report.pending}`,
      `${name}::default_priority::rq_active::${report.requests}`,
      `${name}::default_priority::rq_total::${report.requestsTotal}`,
      `${name}::default_priority::overflow::${report.overflows}`,
    )
    for (const host of report.hosts) {
      const at = `${name}::${host.address}`
      const [region = '', zone = '', subZone = ''] = host.locality.split('/')
      const flags = [...(host.ejected ? ['/failed_outlier_check'] : []), ...(host.health === 'unhealthy' ? ['/failed_eds_health'] : [])]
      lines.push(
        `${at}::cx_active::${host.connections}`,
        `${at}::rq_active::${host.active}`,
        `${at}::rq_success::${host.total.succeeded}`,
        `${at}::rq_error::${host.total.failed}`,
        `${at}::rq_total::${host.total.issued}`,
        `${at}::health_flags::${flags.join('') || (host.health === 'draining' ? '/draining' : 'healthy')}`,
        `${at}::weight::${host.weight}`,
        `${at}::region::${region}`,
        `${at}::zone::${zone}`,
        `${at}::sub_zone::${subZone}`,
      )
    }
  }
  return lines.map((line) => `${line}\n`).join('')
}

/** Envoy's `/clusters?format=json` (envoy.admin.v3.Clusters). */
export function clustersJson(reports: readonly ClusterReport[]): object {
  return {
    cluster_statuses: reports.map((report) => ({
      name: report.name,
      added_via_api: true,
      host_statuses: report.hosts.map((host) => {
        const [region = '', zone = '', sub_zone = ''] = host.locality.split('/')
        const colon = host.address.lastIndexOf(':')
        return {
          address: { socket_address: { address: host.address.slice(0, colon), port_value: Number(host.address.slice(colon + 1)) } },
          stats: [
            { name: 'cx_active', type: 'GAUGE', value: String(host.connections) },
            { name: 'rq_active', type: 'GAUGE', value: String(host.active) },
            { name: 'rq_success', value: String(host.total.succeeded) },
            { name: 'rq_error', value: String(host.total.failed) },
            { name: 'rq_total', value: String(host.total.issued) },
          ],
          health_status: { eds_health_status: host.health.toUpperCase(), ...(host.ejected && { failed_outlier_check: true }) },
          weight: host.weight,
          locality: { region, zone, sub_zone },
        }
      }),
    })),
  }
}

/** Envoy's `/certs` (envoy.admin.v3.Certificates): who we are, until when, and whom we trust. */
export function certificatesJson(secrets: Secrets, nowMs: number): object {
  return {
    certificates: secrets.list().map(({ name, kind, certificatesPem }) => {
      const details = parseCertificates(certificatesPem).map((certificate) => certificateDetails(certificate, nowMs))
      return { name, [kind === 'certificate' ? 'cert_chain' : 'ca_cert']: details }
    }),
  }
}

function certificateDetails(certificate: X509Certificate, nowMs: number): object {
  const DAY_MS = 86_400_000
  return {
    serial_number: certificate.serialNumber.toLowerCase(),
    subject: certificate.subject,
    subject_alt_names: (certificate.subjectAltName ?? '').split(', ').filter((name) => name !== '').map((name) => (name.startsWith('URI:') ? { uri: name.slice(4) } : { dns: name.replace(/^DNS:/, '') })),
    days_until_expiration: String(Math.floor((certificate.validToDate.getTime() - nowMs) / DAY_MS)),
    valid_from: certificate.validFromDate.toISOString(),
    expiration_time: certificate.validToDate.toISOString(),
  }
}
