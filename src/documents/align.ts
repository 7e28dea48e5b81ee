import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../injection/record.ts';

export const same = isDeepStrictEqual;

/** What becomes of an item: both ends, it stays or changes; `from` alone, it goes; `to` alone, it is new. */
export interface Aligned {
  readonly from: number | undefined;
  readonly to: { readonly value: unknown } | undefined;
}

/** What Kubernetes' lists are merged by: one of these names an item. */
function nameOf(item: unknown): string | undefined {
  if (!isRecord(item) || typeof item.name !== 'string') return undefined;
  return JSON.stringify([item.name, item.mountPath]);
}

function isSuccessor(before: unknown, after: unknown): boolean {
  if (same(before, after)) return true;
  const name = nameOf(before);
  return name !== undefined && name === nameOf(after);
}

/** Items of one gap between two pairs: what went and what came change places, unless they have names of their own. */
function gap(
  gone: readonly number[],
  before: readonly unknown[],
  come: readonly unknown[],
): readonly Aligned[] {
  const steps: Aligned[] = gone.map((from, nth) => {
    const isPair = nth < come.length && nameOf(before[from]) === undefined && nameOf(come[nth]) === undefined;
    return { from, to: isPair ? { value: come[nth] } : undefined };
  });
  const left = come.filter((_, nth) => steps[nth]?.to === undefined);
  return [...steps, ...left.map((value) => ({ from: undefined, to: { value } }))];
}

/** Which item of one list became which of another, in order: equal ones, those of one name, those at one place. */
export function alignedItems(before: readonly unknown[], after: readonly unknown[]): readonly Aligned[] {
  const steps: Aligned[] = [];
  let next = 0;
  let gone: number[] = [];
  before.forEach((item, from) => {
    const at = after.findIndex((candidate, index) => index >= next && isSuccessor(item, candidate));
    if (at === -1) {
      gone.push(from);
      return;
    }
    steps.push(...gap(gone, before, after.slice(next, at)), { from, to: { value: after[at] } });
    gone = [];
    next = at + 1;
  });
  return [...steps, ...gap(gone, before, after.slice(next))];
}
