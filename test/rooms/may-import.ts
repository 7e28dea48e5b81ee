/**
 * Which room may import which: inwards only. A folder below a room is a room of its own with a row of its own; a room
 * is named to be imported without the rooms below it.
 */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  reasons: [],
  background: ['reasons'],
  yaml: [],
  settings: ['reasons', 'background'],
  federation: ['reasons', 'settings'],
  'rules/configuration': ['reasons', 'yaml'],
  'rules/tagging': ['reasons', 'yaml'],
  'rules/publishing': ['reasons', 'rules/configuration', 'rules/tagging'],
  injection: [
    ...[
      'reasons',
      'settings',
      'federation',
      'rules/configuration',
      'injection/falco',
      'injection/falcosidekick',
    ],
  ],
  'injection/falco': ['reasons', 'yaml', 'settings', 'federation', 'injection', 'rules/configuration'],
  'injection/falcosidekick': ['reasons', 'settings', 'federation', 'injection'],
  admission: ['reasons', 'settings', 'federation', 'injection'],
  documents: ['reasons', 'settings', 'federation', 'injection', 'admission'],
  certificates: ['reasons', 'background'],
  coverage: [
    ...['reasons', 'settings', 'federation', 'injection', 'injection/falco', 'injection/falcosidekick'],
  ],
  cluster: ['reasons', 'background', 'federation', 'certificates'],
  server: ['reasons', 'admission'],
  events: ['reasons', 'background', 'settings', 'federation', 'certificates', 'server'],
  forwarding: ['reasons', 'background', 'settings', 'federation', 'certificates', 'server', 'events'],
  receiving: ['reasons', 'background', 'settings', 'federation', 'certificates', 'server', 'events'],
  checks: [
    ...['reasons', 'settings', 'federation', 'injection', 'injection/falco', 'injection/falcosidekick'],
    ...['certificates', 'coverage', 'cluster', 'receiving'],
  ],
  commands: ['every room'],
  'commands/certs': ['reasons', 'certificates', 'commands'],
  'commands/events': ['every room'],
  'commands/forward': ['commands', 'commands/events'],
  'commands/receive': ['commands', 'commands/events'],
  'commands/serve': ['every room'],
  '': ['commands'],
};

/** Who alone may import a package beyond its types. */
export const packageOf: Readonly<Record<string, readonly string[]>> = {
  '@kubernetes/client-node': ['cluster'],
  '@peculiar/x509': ['certificates'],
  'fast-json-patch': ['injection', 'admission', 'documents'],
  'fastest-levenshtein': ['settings'],
  fastify: ['server'],
  'prom-client': ['server', 'forwarding', 'receiving'],
  yaml: ['settings', 'documents'],
};
