import { eq } from 'drizzle-orm'
import { platform } from '../schema/platform.ts'
import type { Tenancy } from '../tenancy.ts'

export async function platformValue(tenancy: Tenancy, name: string): Promise<Uint8Array | undefined> {
  const [row] = await tenancy.platform((tx) => tx.select({ value: platform.value }).from(platform).where(eq(platform.name, name)))
  return row?.value
}

/** Keeps the first value that anyone puts, and answers it: replicas that start together end up with one. */
export function putPlatformValue(tenancy: Tenancy, name: string, value: Uint8Array): Promise<Uint8Array> {
  return tenancy.platform(async (tx) => {
    await tx.insert(platform).values({ name, value }).onConflictDoNothing()
    const [row] = await tx.select({ value: platform.value }).from(platform).where(eq(platform.name, name))
    return row?.value ?? value
  })
}
