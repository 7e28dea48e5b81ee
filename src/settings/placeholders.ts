import type { Settings } from './schema.ts';

/** A value that is allowed, and that somebody meant to change. */
export interface Placeholder {
  readonly key: string;
  readonly value: string;
  readonly why: string;
}

/** Names that nobody has (RFC 2606). */
const nobodys = /(^|\.)(example|invalid|test)$|(^|\.)example\.(com|org|net)$/;

/** The cluster's name in the manifests, until its user has named it. */
const unnamed = 'change-me';

/** What of the settings is still as the manifests bring it. */
export function placeholders({ cluster, hub }: Settings): readonly Placeholder[] {
  const found: Placeholder[] = [];
  if (cluster === unnamed) {
    const why = 'is a placeholder: every alert would say that it is from there';
    found.push({ key: 'cluster', value: cluster, why });
  }
  if (hub !== undefined && nobodys.test(new URL(hub.address).hostname)) {
    const why = 'is a placeholder that leads nowhere: no event arrives at a hub';
    found.push({ key: 'hub.address', value: hub.address, why });
  }
  return found;
}
