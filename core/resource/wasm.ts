import { z } from 'zod'
import { judged, text } from './field.ts'
import type { Complaint } from './field.ts'

/** What a Wasm module is and how it is fetched: the fields that WasmPlugin has in its spec and TrafficExtension below `wasm`. */
export const wasmFields = {
  url: z
    .string()
    .min(1)
    .superRefine(
      judged(function* (value: string): Iterable<Complaint> {
        if (!isModuleUrl(value)) yield { rule: 'a URL with oci, http, https, file or no scheme' }
      }),
    )
    .describe('Where the module is: oci:// (the default scheme) and http(s):// without sha256, which the control plane fetches; http(s):// with it, which the proxy fetches; file:// of the proxy.'),
  sha256: z.string().regex(/^$|^[a-f0-9]{64}$/, '64 hex digits').optional().describe('Digest of the module, or of the image (its manifest or index).'),
  imagePullPolicy: z.enum(['UNSPECIFIED_POLICY', 'IfNotPresent', 'Always']).optional().describe('Whether each change of the object has it fetched again; IfNotPresent by default, Always for the tag latest.'),
  imagePullSecret: z.string().min(1).max(253).optional().describe('Secret of type kubernetes.io/dockerconfigjson with the credentials of the registry, in the object’s namespace.'),
  verificationKey: text().optional().describe('Not in use.'),
  pluginConfig: z.record(z.string(), z.unknown()).optional().describe('Handed to the module.'),
  pluginName: z.string().min(1).max(256).optional().describe('The name by which the module chooses among its plugins.'),
  failStrategy: z.enum(['FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD']).optional().describe('What becomes of requests when the module fails or cannot be had; FAIL_CLOSE by default.'),
  vmConfig: z
    .strictObject({
      env: z
        .array(
          z
            .strictObject({
              name: z.string().min(1).max(256).describe('The variable.'),
              valueFrom: z.enum(['INLINE', 'HOST']).optional().describe('Whether value is the value (the default), or the variable of the proxy is.'),
              value: z.string().max(2048).optional().describe('The value, for INLINE.'),
            })
            .superRefine(
              judged(function* (one): Iterable<Complaint> {
                if (one.valueFrom === 'HOST' && one.value !== undefined) yield { at: ['value'], code: 'object.field-conflict', rule: 'only where valueFrom is INLINE' }
              }),
            ),
        )
        .max(256)
        .superRefine(
          judged(function* (list): Iterable<Complaint> {
            const seen = new Set<string>()
            for (const [index, one] of list.entries()) {
              if (seen.has(one.name)) yield { at: [index, 'name'], value: one.name, code: 'object.field-conflict', rule: 'each variable once' }
              seen.add(one.name)
            }
          }),
        )
        .optional()
        .describe('Environment of the module.'),
    })
    .optional()
    .describe('The machine that the module runs in.'),
  type: z.enum(['UNSPECIFIED_PLUGIN_TYPE', 'HTTP', 'NETWORK']).optional().describe('Whether it is an HTTP filter (the default) or a network filter.'),
}

const wasmModule = z.strictObject(wasmFields)
export type WasmModule = z.infer<typeof wasmModule>

export const extensionPhase = (unspecified: string) => z.enum([unspecified, 'AUTHN', 'AUTHZ', 'STATS']).optional().describe('Where the filter stands: after authentication, authorization or metrics; before routing by default.')

function* repeatedPorts(ports: readonly { readonly number: number }[]): Iterable<Complaint> {
  for (const [index, { number }] of ports.entries()) if (ports.findIndex((one) => one.number === number) !== index) yield { at: [index, 'number'], value: number, code: 'object.field-conflict', rule: 'each port once' }
}

export const trafficSelectors = z
  .array(
    z.strictObject({
      mode: z.enum(['UNDEFINED', 'CLIENT', 'SERVER', 'CLIENT_AND_SERVER']).optional().describe('Outbound, inbound, or both (the default).'),
      ports: z.array(z.strictObject({ number: z.int().min(1).max(65535).describe('The destination port.') })).superRefine(judged(repeatedPorts)).optional().describe('Destination ports; all by default.'),
    }),
  )
  .optional()
  .describe('Traffic that passes the extension; all by default.')

const SCHEMES = ['http:', 'https:', 'file:', 'oci:']

function isModuleUrl(value: string): boolean {
  if (/\s/.test(value)) return false
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(value)
  if (scheme !== null) return SCHEMES.includes(`${scheme[1]?.toLowerCase()}:`)
  return !value.includes('#%') && URL.canParse(`http://${value}`) && !/%(?![0-9a-fA-F]{2})/.test(value)
}
