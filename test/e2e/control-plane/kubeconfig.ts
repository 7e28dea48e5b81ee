import { writeFileSync } from 'node:fs';

export interface Access {
  readonly url: string;
  /** PEM file. */
  readonly caFile: string;
  readonly token: string;
}

/** Writes a kubeconfig with one cluster and one user. JSON is YAML. */
export function writeKubeconfig(file: string, { url, caFile, token }: Access): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'e2e', cluster: { server: url, 'certificate-authority': caFile } }],
    users: [{ name: 'e2e', user: { token } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
    'current-context': 'e2e',
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
}
