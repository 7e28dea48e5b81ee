/** What a forwarder says of itself with each batch: the header `falco-federation-report`. */
import * as z from 'zod';

export const reportHeader = 'falco-federation-report';

/** Bytes. */
export const largestReport = 4_096;

const count = z.number().int().nonnegative();

export const reportSchema = z.object({
  version: z.string().regex(/^[\w.+-]{1,64}$/),
  replica: z.string().regex(/^[\w.-]{1,253}$/),
  waiting: z.object({ events: count, bytes: count, oldest: z.iso.datetime().optional() }),
  /** Pods by state, where the forwarder knows. */
  pods: z.record(z.string().regex(/^[a-z_]{1,32}$/), count).optional(),
});

export type Report = z.output<typeof reportSchema>;

/** @returns undefined where it says nothing that is understood */
export function readReport(header: string | undefined): Report | undefined {
  if (header === undefined || header.length > largestReport) return undefined;
  try {
    return reportSchema.safeParse(JSON.parse(header)).data;
  } catch {
    return undefined;
  }
}
