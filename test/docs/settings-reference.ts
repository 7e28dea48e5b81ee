import * as z from 'zod';
import { settingsSchema } from '../../src/settings/schema.ts';

/** The settings as JSON Schema (2020-12), for editors and for the Helm chart's values. */
export function settingsJsonSchema(): object {
  return {
    title: 'federation.yaml of falco-federation-webhook',
    ...z.toJSONSchema(settingsSchema, { io: 'input' }),
  };
}

/** One line of the reference table. */
interface Row {
  readonly key: string;
  readonly values: string;
  readonly standard: string;
  readonly description: string;
}

interface Property {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Property>>;
}

function valuesOf(property: Property): string {
  if (property.enum !== undefined) return property.enum.map((one) => `\`${one}\``).join(', ');
  return (
    { object: 'map', array: 'list', string: 'text', boolean: '`true`, `false`' }[property.type ?? ''] ?? ''
  );
}

function rowsOf(properties: Readonly<Record<string, Property>>, prefix: string, depth: number): Row[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    const key = `${prefix}${name}`;
    const row: Row = {
      key,
      values: valuesOf(property),
      standard:
        property.default === undefined || (property.properties !== undefined && depth === 0)
          ? ''
          : `\`${JSON.stringify(property.default)}\``,
      description: property.description ?? '',
    };
    const below =
      depth === 0 && property.properties !== undefined
        ? rowsOf(property.properties, `${key}.`, depth + 1)
        : [];
    return [row, ...below];
  });
}

/** The reference table of docs/settings.md, Markdown. */
export function settingsTable(): string {
  // Safe: JSON Schema that zod has just made from an object schema.
  const schema = z.toJSONSchema(settingsSchema, { io: 'input' }) as Property;
  const rows = rowsOf(schema.properties ?? {}, '', 0);
  const lines = rows.map(
    ({ key, values, standard, description }) => `| \`${key}\` | ${values} | ${standard} | ${description} |`,
  );
  return ['| key | values | default | what it does |', '| --- | --- | --- | --- |', ...lines, ''].join('\n');
}
