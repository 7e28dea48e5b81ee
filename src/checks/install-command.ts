/** What brings our objects, and puts right those that were changed: one command, by what they were installed with. */
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
  return release === undefined
    ? `kubectl apply --server-side --force-conflicts -k manifests/overlays/${role}   # with your federation.yaml in it`
    : `helm upgrade ${release} manifests/chart --namespace ${namespace} --reset-then-reuse-values`;
}

/** The webhook configuration alone, which somebody has changed. Helm leaves what others have added to an object. */
export function configurationCommand(installed: Installed, name: string): string {
  return releaseOf(installed) === undefined
    ? installCommand(installed)
    : `kubectl delete mutatingwebhookconfiguration ${name} && ${installCommand(installed)}`;
}
