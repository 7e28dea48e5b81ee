import type { Check } from './check.ts';
import { type Line, warning } from './line.ts';
import { judgedPods } from './pods.ts';

/** That the Secrets with which our image is pulled are where Falco is: a kubelet passes over those that are not. */
export const pullSecrets: Check = {
  name: 'pull_secrets',
  title: 'the Secrets that our image is pulled with',
  look: async (view) => {
    const names = (await view.goodSettings())?.rules.imagePullSecrets ?? [];
    if (names.length === 0) return [];
    const lines: Line[] = [];
    for (const { metadata } of await view.optedIn()) {
      const namespace = metadata.name;
      if ((await judgedPods(view, namespace)).length === 0) continue;
      for (const name of names) {
        if ((await view.secret(namespace, name)) !== undefined) continue;
        const text = `namespace ${namespace}: Secret ${name} of rules.imagePullSecrets`;
        const why =
          'is not there: our image is pulled without it, and where that fails Falco waits for its init container';
        const fix = `kubectl --namespace ${namespace} create secret docker-registry ${name} --docker-server=… --docker-username=… --docker-password=…`;
        lines.push(warning('pull_secrets', text, why, fix));
      }
    }
    return lines;
  },
};
