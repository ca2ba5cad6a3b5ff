export type SecretPlan =
  | { readonly kind: 'certificate'; readonly name: string; readonly version: string; readonly chainPem: string; readonly keyPem: string }
  | { readonly kind: 'trust'; readonly name: string; readonly version: string; readonly rootsPem: string; /** Certificates that are revoked, one list for each authority; absent: none is asked. */ readonly revokedPem?: string }
