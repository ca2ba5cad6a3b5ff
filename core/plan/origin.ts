/** Where a piece of plan comes from: `VirtualService/prod/order-service` and `http[0].route[1]`, and the revision that wrote it. From metadata key `weft` (or `istio`: config path). */
export interface Origin {
  readonly resource: string
  readonly field: string
  readonly revision: number
}
