import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A ConfigMap as the kubelet mounts it: the file is a link through `..data`, which is swapped as a whole. */
export interface MountedSettings {
  readonly file: string;
  readonly swap: (text: string) => void;
}

/** @param folder in which the mount gets a folder of its own */
export function mountSettings(folder: string, first: string): MountedSettings {
  const mount = mkdtempSync(join(folder, 'settings-'));
  let version = 0;
  const swap = (text: string): void => {
    version += 1;
    mkdirSync(join(mount, `..${version}`));
    writeFileSync(join(mount, `..${version}`, 'federation.yaml'), text);
    symlinkSync(`..${version}`, join(mount, '..data_tmp'));
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
  };
  swap(first);
  symlinkSync('..data/federation.yaml', join(mount, 'federation.yaml'));
  return { file: join(mount, 'federation.yaml'), swap };
}
