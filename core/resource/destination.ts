import { z } from 'zod'
import { portNumber, text } from './field.ts'
import { wildcardDomainComplaint } from './host-name.ts'
import type { Complaint } from './field.ts'

const portSelector = z.strictObject({ number: portNumber().optional().describe('The port of the service.') })

export const destination = z.strictObject({
  host: text().describe('The service, as the registry names it. A short name is completed with the namespace of the object that holds it.'),
  subset: text().optional().describe('A subset that a DestinationRule of the host defines.'),
  port: portSelector.optional().describe('The port of the service; needed when it has several.'),
})
export type Destination = z.infer<typeof destination>

export function* destinationComplaints(value: Destination, at: readonly (string | number)[]): Iterable<Complaint> {
  if (value.host === '*') yield { at: [...at, 'host'], value: value.host, rule: 'the name of a service, not *' }
  else {
    const complaint = wildcardDomainComplaint(value.host)
    if (complaint !== undefined) yield { at: [...at, 'host'], value: value.host, rule: complaint }
  }
  if (value.port !== undefined && value.port.number === undefined) yield { at: [...at, 'port', 'number'], code: 'object.field-required', rule: 'a port, 1..65535' }
  if (value.subset !== undefined && value.subset !== '' && !SUBSET.test(value.subset)) yield { at: [...at, 'subset'], value: value.subset, rule: SUBSET_RULE }
}

/** Subset names become parts of cluster names: they are DNS labels, capitals allowed. */
export const SUBSET = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/
export const SUBSET_RULE = 'letters, digits and dashes, at most 63 characters'
