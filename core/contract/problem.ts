import { z } from 'zod'

/** RFC 9457 problem document, the body of every failure. `errors` holds all findings at once. */
export const problem = z.object({
  type: z.string().describe('urn:weft:problem:CODE, by the gravest finding.'),
  title: z.string().describe('What is wrong, in a few words that do not change.'),
  status: z.int(),
  detail: z.string().describe('What is wrong this time.'),
  errors: z
    .array(
      z.object({
        code: z.string().describe('The fault’s code, as the fault reference explains it.'),
        severity: z.enum(['error', 'warning']),
        path: z.string().describe('spec.http[0].route[1].weight'),
        value: z.unknown().optional(),
        rule: z.string(),
        hint: z.string().optional(),
        resource: z.string().optional(),
        source: z.object({ file: z.string(), line: z.int() }).optional(),
      }),
    )
    .optional(),
})
export type Problem = z.infer<typeof problem>
