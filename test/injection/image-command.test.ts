import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commandOfImage } from '../../src/injection/falco/image-command.ts';

const plain = '/usr/bin/falco';
const digest = `@sha256:${'0'.repeat(64)}`;

const cases: readonly (readonly [image: string, version: string | undefined, command: string | undefined])[] =
  [
    ['docker.io/falcosecurity/falco:0.39.2', undefined, undefined],
    ['docker.io/falcosecurity/falco:0.40.0-slim', undefined, undefined],
    ['falcosecurity/falco-no-driver:0.40.0', undefined, undefined],
    ['falcosecurity/falco:0.40.0', undefined, plain],
    ['registry.example:5000/proxy/falcosecurity/falco:0.44.1-debian', undefined, plain],
    [`falcosecurity/falco:0.44.0-rc2${digest}`, undefined, plain],
    ['falcosecurity/falco:0.44.1-r3', undefined, undefined],
    ['falcosecurity/falco:0.37.1', undefined, undefined],
    ['falcosecurity/falco:0.45.0', undefined, undefined],
    ['falcosecurity/falco:1.0.0', undefined, undefined],
    ['falcosecurity/falco:latest', undefined, undefined],
    ['falcosecurity/falco', undefined, undefined],
    [`falcosecurity/falco${digest}`, undefined, undefined],
    ['registry.example/security/falco:0.44.1', undefined, undefined],
    ['falco:0.44.1', undefined, undefined],
    ['falcosecurity:5000/falco:0.44.1', undefined, undefined],
    ['falcosecurity/falco:latest', '0.44.1', plain],
    [`falcosecurity/falco${digest}`, '0.44', plain],
    [`falcosecurity/falco${digest}`, '0.39.2', undefined],
    ['registry.example/security/falco:7', '0.44.1', undefined],
  ];

describe('what an image starts by itself', () => {
  for (const [image, version, command] of cases) {
    test(`${image}${version === undefined ? '' : `, said to be ${version}`}: ${command ?? 'not known'}`, () => {
      assert.equal(commandOfImage(image, version)?.join(' '), command);
    });
  }
  test('no image: not known', () => assert.equal(commandOfImage(undefined, '0.44.1'), undefined));
});
