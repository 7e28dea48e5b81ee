import { ClusterError } from '../cluster/index.ts';
import { messageOf } from '../reasons/message-of.ts';
import { before } from './before.ts';
import type { Check, CheckGroup } from './check.ts';
import { dryRun } from './dry-run.ts';
import { falcosidekick } from './falcosidekick.ts';
import { forwarder, hubOfSpoke } from './forwarder.ts';
import { roleCommand } from './install-command.ts';
import { apiServer } from './kubernetes.ts';
import { error, type Group, type Line, warning } from './line.ts';
import { optingIn } from './opting-in.ts';
import { permissions } from './permissions.ts';
import { pods } from './pods.ts';
import { receiver } from './receiver.ts';
import { servingCertificate } from './serving-certificate.ts';
import { settings } from './settings.ts';
import { testEvent } from './test-event.ts';
import type { View } from './view.ts';
import { wantedPods } from './wanted-pods.ts';
import { webhookConfiguration } from './webhook-configuration.ts';
import { webhookPermissions } from './webhook-permissions.ts';
import { replicasTell, versions, webhookReplicas } from './webhook-replicas.ts';

const beforeInstalling: readonly CheckGroup[] = [{ name: 'before installing', checks: before }];

/** What is looked at, in the order in which it is told. */
const groups: readonly CheckGroup[] = [
  {
    name: 'webhook',
    checks: [
      webhookConfiguration,
      webhookPermissions,
      webhookReplicas,
      replicasTell,
      servingCertificate,
      versions,
    ],
  },
  { name: 'settings', checks: [settings] },
  { name: 'admission', checks: [dryRun] },
  { name: 'namespaces', checks: [optingIn, wantedPods, pods] },
  { name: 'forwarder', checks: [forwarder] },
  { name: 'hub', checks: [hubOfSpoke, receiver, falcosidekick] },
];

/** What could not be checked is not healthy. */
function couldNotLook({ name, title }: Check, failure: unknown): Line {
  const why = messageOf(failure);
  if (failure instanceof ClusterError && failure.status === 403) {
    return warning(name, title, `cannot be checked: ${why}`, roleCommand('YOU'));
  }
  const fix = failure instanceof ClusterError ? 'kubectl cluster-info' : undefined;
  return error(name, title, `could not be checked: ${why}`, fix);
}

async function look(check: Check, view: View): Promise<readonly Line[]> {
  try {
    return await check.look(view);
  } catch (failure) {
    return [couldNotLook(check, failure)];
  }
}

/** Whether something is wrong, or not done yet. */
export function isUnsettled(found: readonly Group[]): boolean {
  const lines = found.flatMap((group) => group.lines);
  return hasErrors(found) || lines.some(({ check, mark }) => mark !== 'ok' && check.endsWith('_rollout'));
}

export function hasErrors(found: readonly Group[]): boolean {
  return found.some(({ lines }) => lines.some(({ mark }) => mark === 'error'));
}

function seesNamespaces(view: View): Promise<boolean> {
  return view.namespaces().then(
    () => true,
    () => false,
  );
}

/**
 * Looks at all of it once. Groups without lines (a hub has no forwarder) are left out.
 *
 * @param onGroup called with each group as soon as it and those before it are done
 * @param isBefore before an installation
 */
export async function runChecks(
  view: View,
  onGroup: (group: Group) => void = () => {},
  isBefore = false,
): Promise<readonly Group[]> {
  const found: Group[] = [];
  const tell = (name: string, lines: readonly Line[]): void => {
    if (lines.length === 0) return;
    found.push({ name, lines });
    onGroup({ name, lines });
  };
  const first = await look(apiServer, view);
  // Without an API server all the others would say the same.
  const isAway = first.some(({ mark, why }) => mark === 'error' && why?.startsWith('could not'));
  tell('kubernetes', isAway || isBefore ? first : [...first, ...(await look(permissions, view))]);
  // Who may look at next to nothing learns it once, and not of each thing.
  if (isAway || (hasErrors(found) && !(await seesNamespaces(view)))) return found;
  const started = (isBefore ? beforeInstalling : groups).map(({ name, checks }) => ({
    name,
    lines: Promise.all(checks.map((check) => look(check, view))),
  }));
  for (const { name, lines } of started) tell(name, (await lines).flat());
  // As it would say what is known already.
  if (!isBefore && !hasErrors(found)) tell('proof', await look(testEvent, view));
  return found;
}
