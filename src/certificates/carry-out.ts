import { type Issued, makeAuthority, makeServing } from './issue.ts';
import type { Lifetimes, Plan } from './next-step.ts';
import type { Files } from './pieces.ts';

/** Makes what the plan asks for: the four files of the Secret. */
export async function carryOut(plan: Plan, lifetimes: Lifetimes, now: number): Promise<Files> {
  const { authorityKey, serving } = plan;
  const [newest] = plan.authorities;
  const authority =
    authorityKey === undefined || newest === undefined
      ? await makeAuthority(now, lifetimes.authority)
      : { certificate: newest, key: authorityKey };
  const authorities =
    authority.certificate === newest ? plan.authorities : [authority.certificate, ...plan.authorities];
  const leaf: Issued =
    'names' in serving
      ? await makeServing(authority, serving.names, now, lifetimes.leaf)
      : { certificate: serving.cert, key: serving.key };
  return {
    'ca.crt': authorities.join(''),
    'ca.key': authority.key,
    'tls.crt': leaf.certificate,
    'tls.key': leaf.key,
  };
}
