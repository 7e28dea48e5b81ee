import type { Check } from './check.ts';
import { error, ok } from './line.ts';

/** `matchConditions` are not in older ones. */
const oldest = { major: 1, minor: 30 };

/** Without it nothing else can be looked at. */
export const apiServer: Check = {
  name: 'api_server',
  title: 'the API server answers',
  look: async ({ cluster }) => {
    const context = cluster.context === undefined ? '' : ` (context ${cluster.context})`;
    const { text, major, minor } = await cluster.version();
    const isNew = major > oldest.major || (major === oldest.major && minor >= oldest.minor);
    const told = `the API server answers: ${cluster.server}${context}, ${text}`;
    if (isNew) return [ok('api_server', told)];
    const why = `Kubernetes before ${oldest.major}.${oldest.minor} has no matchConditions, so all pods of opted-in namespaces would be sent to the webhook`;
    return [error('api_server', told, why, 'kubectl version   # upgrade the cluster to 1.30 or later')];
  },
};
