/** What brings our objects, and puts right those that were changed: one command, by what they were installed with. */
import { existsSync } from 'node:fs';
import type { InspectedWebhooks, InspectedWorkload } from '../cluster/index.ts';

/** Helm writes these on all that it installs. */
const managedBy = 'app.kubernetes.io/managed-by';
const releaseName = 'meta.helm.sh/release-name';

export interface Installed {
  readonly namespace: string;
  readonly role: 'spoke' | 'hub';
  /** Objects of ours that are there. */
  readonly objects: readonly (InspectedWebhooks | InspectedWorkload)[];
}

/** Name of the Helm release; undefined: not installed by Helm. */
function releaseOf({ objects }: Installed): string | undefined {
  const found = objects.find(({ metadata }) => metadata.labels?.[managedBy] === 'Helm');
  return found && (found.metadata.annotations?.[releaseName] ?? 'falco-federation');
}

export function installCommand(installed: Installed): string {
  const { namespace, role } = installed;
  const release = releaseOf(installed);
  const [chart, overlay] = [pathHere('manifests/chart'), pathHere(`manifests/overlays/${role}`)];
  return release === undefined
    ? `kubectl apply --server-side --force-conflicts -k ${overlay ?? 'FOLDER'}   # ${overlay === undefined ? 'of the kustomization that it was installed by' : 'with your federation.yaml in it'}`
    : `helm upgrade ${release} ${chart ?? 'CHART'} --namespace ${namespace} --reset-then-reuse-values${chart === undefined ? '   # the chart that it was installed from' : ''}`;
}

/** A path of the repository, for those who are in it. */
function pathHere(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}

/** What lets somebody run `check`. The chart brings the role, unless checkRole.enabled is off. */
export function roleCommand(user: string): string {
  const role = pathHere('manifests/check-role');
  const apply = role === undefined ? '' : `kubectl apply -k ${role} && `;
  return `${apply}kubectl create clusterrolebinding falco-federation-check --clusterrole=falco-federation-check --user=${user}   # ask an administrator; docs/check.md`;
}

/** The webhook configuration alone, which somebody has changed. Helm leaves what others have added to an object. */
export function configurationCommand(installed: Installed, name: string): string {
  return releaseOf(installed) === undefined
    ? installCommand(installed)
    : `kubectl delete mutatingwebhookconfiguration ${name} && ${installCommand(installed)}`;
}
