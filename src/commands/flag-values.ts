/** Values of flags that several commands have; errors name the flag. */
import { hostname, networkInterfaces } from 'node:os';
import { pino } from 'pino';
import type { CommandIo } from './command.ts';

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of `90d`, `12h`, `30m` or `45s`. */
export function duration(flag: string, text: string): number {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count === undefined || (unit !== 's' && unit !== 'm' && unit !== 'h' && unit !== 'd')) {
    throw new Error(`--${flag} must be a duration as in 90d, 12h, 30m or 45s, not "${text}"`);
  }
  return Number(count) * units[unit];
}

function port(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65535) {
    throw new Error(`--${flag} must be a port number, not "${text}"`);
  }
  return number;
}

export function httpAddress(flag: string, text: string | undefined): string | undefined {
  if (text === undefined || (/^https?:\/\/\S+$/.test(text) && URL.canParse(text))) return text;
  throw new Error(`--${flag} must be an http:// or https:// address, not "${text}"`);
}

function logLevel(text: string): string {
  if (!Object.hasOwn(pino.levels.values, text) && text !== 'silent') {
    throw new Error(`--log-level must be one of ${Object.keys(pino.levels.values).join(', ')}, silent`);
  }
  return text;
}

/** Flags of every program that serves: its ports, its log, and how it ends. */
interface ServerFlags {
  readonly port: string;
  readonly 'health-port': string;
  readonly 'metrics-port': string;
  readonly 'log-level': string;
  readonly 'drain-delay': string;
  readonly 'grace-period': string;
}

export function serverFlags(values: ServerFlags) {
  return {
    port: port('port', values.port),
    healthPort: port('health-port', values['health-port']),
    metricsPort: port('metrics-port', values['metrics-port']),
    logLevel: logLevel(values['log-level']),
    drain: {
      delay: duration('drain-delay', values['drain-delay']),
      grace: duration('grace-period', values['grace-period']),
    },
  };
}

/** What a replica is called: its pod, else its host. */
export function replicaName({ POD_NAME: name }: CommandIo['env']): string {
  return name === undefined || name === '' ? hostname() : name;
}

/** Every address of both families, where the machine has both. */
export function anyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}
