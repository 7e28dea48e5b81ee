/** Folders that a pod has mounted, on this machine: for programs that look for them only there. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceAccountFolder } from '../../src/cluster/in-cluster.ts';

const mounted = new Set<string>();

/**
 * Makes a folder with files until this process ends. False where that cannot be had: without the right to, or because
 * this machine has such a folder of its own.
 */
export function mount(folder: string, files: Readonly<Record<string, string>>): boolean {
  if (mounted.has(folder)) return true;
  try {
    if (existsSync(folder)) return false;
    const made = mkdirSync(folder, { recursive: true }) ?? folder;
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    mounted.add(folder);
    return true;
  } catch {
    return false;
  }
}

export const mountServiceAccount = (ca: string): boolean =>
  mount(serviceAccountFolder, { 'ca.crt': ca, token: 'token' });
