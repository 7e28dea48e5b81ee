import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { reasons } from '../../src/reasons/reasons.ts';
import { handwritten } from './troubleshooting.ts';

const docs = path.join(import.meta.dirname, '../../docs');

/** Words of Falco's and of Prometheus' that look like codes. */
const others = /^(config_files|append_output|falco_federation_.*|.*_fail_open_count)$/;

test('codes that are named are codes', () => {
  const named = [...handwritten().matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code = '']) => code);
  assert.ok(named.length > 20);
  for (const code of named) assert.ok(Object.hasOwn(reasons, code) || others.test(code), code);
});

/** As GitHub makes them, and those that are written out. */
function anchorsIn(text: string): readonly string[] {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)];
}

for (const page of ['troubleshooting.md', 'alerts.md']) {
  test(`every link of ${page} leads somewhere`, () => {
    const text = readFileSync(path.join(docs, page), 'utf8');
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link.split('#'));
    assert.ok(links.length > 10);
    for (const [file = '', anchor] of links) {
      const to = file === '' ? path.join(docs, page) : path.join(docs, file);
      assert.ok(existsSync(to), file);
      if (anchor !== undefined)
        assert.ok(anchorsIn(readFileSync(to, 'utf8')).includes(anchor), `${file}#${anchor}`);
    }
  });
}
