import type { V1Container, V1PodSpec, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { followRulesContainer } from '../../federation/names.ts';
import { isRecord } from '../record.ts';

/** What is known of a volume by its kind alone. */
export interface VolumeKind {
  /**
   * - `texts`: what everybody who may see the pod may see;
   * - `files`: whatever somebody put there;
   * - `host`: a part of the node, or nobody knows what;
   * - `secrets`: what is nobody's business but Falco's, unless it is rules.
   */
  readonly holds: 'texts' | 'files' | 'host' | 'secrets';
  /** When other content can appear in a mount of it while Falco runs. */
  readonly changes: 'unless_sub_path' | 'when_written' | 'always';
  /** Whether the runtime mounts it read-only, whatever the mount says. */
  readonly readOnly: boolean;
}

const kubeletWrites = { changes: 'unless_sub_path', readOnly: true } as const;

/**
 * What each kind of volume can do: a follower runs where rules can come later. kubelet swaps the content of those that it writes itself,
 * but not in a subPath of them (FACTS 2.1). An image stays as it is while its pod runs, as far as Kubernetes says today:
 * a follower for nothing is a megabyte, a missing one is every later rule.
 */
const kinds: Readonly<Record<string, VolumeKind>> = {
  configMap: { holds: 'texts', ...kubeletWrites },
  downwardAPI: { holds: 'texts', ...kubeletWrites },
  secret: { holds: 'secrets', ...kubeletWrites },
  emptyDir: { holds: 'files', changes: 'when_written', readOnly: false },
  gitRepo: { holds: 'files', changes: 'when_written', readOnly: false },
  persistentVolumeClaim: { holds: 'files', changes: 'always', readOnly: false },
  ephemeral: { holds: 'files', changes: 'always', readOnly: false },
  nfs: { holds: 'files', changes: 'always', readOnly: false },
  csi: { holds: 'files', changes: 'always', readOnly: false },
  image: { holds: 'files', changes: 'always', readOnly: true },
  hostPath: { holds: 'host', changes: 'always', readOnly: false },
};

const unknown: VolumeKind = { holds: 'host', changes: 'always', readOnly: false };

/** The kind of a volume; of one that the pod does not have (a claim template of a StatefulSet), what is safe. */
export function kindOf(volume: V1Volume | undefined): VolumeKind {
  if (volume === undefined) return unknown;
  const source = Object.entries(volume).find(([key, value]) => key !== 'name' && isRecord(value));
  // The API server takes a volume without a source for an emptyDir.
  const [name, value] = source ?? ['emptyDir', undefined];
  if (name === 'projected') return { holds: isOfTexts(value) ? 'texts' : 'secrets', ...kubeletWrites };
  return kinds[name] ?? unknown;
}

/** A projected volume may hold Secrets and tokens too. */
function isOfTexts(projected: unknown): boolean {
  if (!isRecord(projected) || !Array.isArray(projected.sources)) return true;
  return projected.sources.every(
    (source) => isRecord(source) && Object.keys(source).every((key) => kinds[key]?.holds === 'texts'),
  );
}

/** Names of the volumes that something else than Falco can write to while Falco runs. */
export function writtenBeside(spec: V1PodSpec, falco: V1Container): ReadonlySet<string> {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  // Our own mounts are writable where the runtime must make a mount point (FACTS 4.8); we write nothing there.
  const beside = [...sidecars, ...spec.containers].filter(
    ({ name }) => name !== falco.name && name !== followRulesContainer,
  );
  const mounts = beside.flatMap(({ volumeMounts }) => volumeMounts ?? []);
  return new Set(mounts.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name));
}

/** Whether other content can appear in a mount while Falco runs. */
export function canChange(mount: V1VolumeMount, kind: VolumeKind, written: ReadonlySet<string>): boolean {
  if (kind.changes === 'always') return true;
  return kind.changes === 'when_written' ? written.has(mount.name) : !mount.subPath;
}
