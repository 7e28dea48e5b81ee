/** A pod's files as its Falco sees them: which rules it lists, where they lie here, and putting some there. */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { V1Pod } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { containerOf } from './recorded-pods.ts';
import { falcoctlWrites, writeAs } from './volumes.ts';

export interface FalcoView {
  /** The entries of rules_files in falco.yaml. */
  readonly rulesFiles: readonly string[];
  /** Where a path of Falco's lies on this machine; undefined if it is in Falco's image. */
  readonly locate: (path: string) => string | undefined;
}

export function falcoView(pod: V1Pod, volumes: ReadonlyMap<string, string>): FalcoView {
  const mounts = (containerOf(pod, 'falco').volumeMounts ?? []).toSorted(
    (one, other) => other.mountPath.length - one.mountPath.length,
  );
  const locate = (path: string): string | undefined => {
    const mount = mounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
    const folder = mount === undefined ? undefined : volumes.get(mount.name);
    return mount && folder && join(folder, mount.subPath ?? '', path.slice(mount.mountPath.length));
  };
  return { rulesFiles: listedIn(locate('/etc/falco/falco.yaml'), 'rules_files'), locate };
}

/** A list of paths in a YAML file of Falco's; throws if it is not there. */
export function listedIn(file: string | undefined, key: string): readonly string[] {
  const settings: unknown = parse(readFileSync(file ?? '', 'utf8'));
  const list =
    settings !== null && typeof settings === 'object'
      ? new Map(Object.entries(settings)).get(key)
      : undefined;
  if (!Array.isArray(list)) throw new Error(`${file}: no list ${key}`);
  return list.map(String);
}

/**
 * Puts the rules files there that the pod's falcoctl (or the operator's sidecar, or the tutorial's script) would
 * have brought by then, with their owners and modes (FACTS 2.6, 2.9).
 */
export function installRules({ rulesFiles, locate }: FalcoView, rules: string): void {
  for (const entry of rulesFiles) {
    const source = join(rules, basename(entry));
    const target = locate(entry);
    // In the image, or in a ConfigMap, which has its content already.
    if (target === undefined || existsSync(join(dirname(target), '..data')) || isFilled(target)) continue;
    if (existsSync(source)) writeAs(target, readFileSync(source, 'utf8'), falcoctlWrites);
    else if (basename(entry) === 'patched_falco_rules.yaml') writePatched(target, rules);
    else if (isFolder(target)) {
      const text = readFileSync(join(rules, 'falco_rules.yaml'), 'utf8');
      writeAs(join(target, '50-01-falco-rules.yaml'), text, falcoctlWrites);
    }
  }
}

/** The tutorial's script tags a copy of the rules with yq, as root. */
function writePatched(target: string, rules: string): void {
  const text = readFileSync(join(rules, 'falco_rules.yaml'), 'utf8');
  mkdirSync(dirname(target), { recursive: true });
  writeAs(target, text.replaceAll(/^( +tags: \[.*)\]/gm, '$1, staging]'), { uid: 0, mode: 0o644 });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFilled(path: string): boolean {
  return existsSync(join(path, '..data'));
}
