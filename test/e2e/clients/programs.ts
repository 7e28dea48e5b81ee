/** The programs that users install with, as .ci/install-clients builds them. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../real/places.ts';

export type ClientName = 'helm-3' | 'helm-4' | 'kustomize';

const variables = { 'helm-3': 'HELM_3', 'helm-4': 'HELM_4', kustomize: 'KUSTOMIZE' } as const;
const programs = { 'helm-3': 'helm', 'helm-4': 'helm', kustomize: 'kustomize' } as const;

/** Where it lies, by its variable (HELM_3, HELM_4, KUSTOMIZE) first. */
export function clientPath(name: ClientName): string {
  const given = process.env[variables[name]] ?? '';
  return given === '' ? join(root, '.cache', name, programs[name]) : given;
}

function isThere(name: ClientName): boolean {
  try {
    accessSync(clientPath(name), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Those that are not on this machine. */
export function missingClients(): readonly ClientName[] {
  const all: readonly ClientName[] = ['helm-3', 'helm-4', 'kustomize'];
  return all.filter((name) => !isThere(name));
}
