import { serverFlags } from '../flag-values.ts';

/** Flags that `forward` and `receive` both have, but for the default of `--port`. */
export const eventOptions = {
  settings: { type: 'string', default: 'federation.yaml' },
  credentials: { type: 'string' },
  host: { type: 'string' },
  'health-port': { type: 'string', default: '8080' },
  'metrics-port': { type: 'string', default: '9090' },
  'log-level': { type: 'string', default: 'info' },
  'drain-delay': { type: 'string', default: '5s' },
  'grace-period': { type: 'string', default: '25s' },
} as const;

type Texts = {
  readonly [Name in keyof typeof eventOptions]: Name extends 'credentials' | 'host'
    ? string | undefined
    : string;
} & { readonly port: string };

/** Throws an error that names the flag on wrong use. */
export function eventFlags(values: Texts) {
  return {
    settings: values.settings,
    credentials: values.credentials,
    host: values.host,
    ...serverFlags(values),
  };
}

export type EventFlags = ReturnType<typeof eventFlags>;
