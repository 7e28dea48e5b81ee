/** What a release rests on: one version, a changelog, licences that may be passed on, the same bundle from the same files. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, globSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { temporaryFolder } from '../temporary-folder.ts';
import { packageVersion, places, versionsIn } from './versions.ts';

const root = path.join(import.meta.dirname, '../..');
const textOf = (file: string): string => readFileSync(path.join(root, file), 'utf8');

describe('the version', () => {
  for (const place of places) {
    test(`${place.file}, ${place.pattern.source.slice(0, 30)}: is that of package.json`, () => {
      const found = versionsIn(place);
      assert.ok(found.length > 0, 'it is not there');
      assert.deepEqual([...new Set(found)], [packageVersion()]);
    });
  }

  test('stands nowhere else in what is shipped', () => {
    const shipped = globSync(['src/**/*', 'manifests/**/*', 'docs/helm/**/*'], {
      cwd: root,
      withFileTypes: true,
    })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
    const others = shipped.filter(
      (file) => textOf(file).includes(packageVersion()) && !places.some((place) => place.file === file),
    );
    assert.deepEqual(others, []);
  });
});

describe('CHANGELOG.md', () => {
  test('has one heading a version, the newest first, with the day of its release', () => {
    const headings = [...textOf('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading);
    assert.ok(headings.length > 0);
    for (const heading of headings)
      assert.match(heading, /^\d+\.\d+\.\d+ \((unreleased|\d{4}-\d{2}-\d{2})\)$/);
    assert.equal(headings[0]?.split(' ')[0], packageVersion());
    assert.equal(new Set(headings).size, headings.length);
  });
});

/** Licences whose code may be passed on with ours, under its own terms. */
const allowed = [
  'Apache-2.0',
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
];

/** The oldest Node that is supported, where there is one. */
const node22 = process.env.NODE_22 ?? '';

describe('the bundle', () => {
  const folders: string[] = [];
  before(() => {
    // The same files in two places of different depth.
    for (const below of ['one', 'another/place']) {
      const folder = path.join(temporaryFolder('bundle-'), below);
      folders.push(folder);
      for (const part of ['src', 'package.json', 'tsconfig.json'])
        cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
      symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    }
  });

  test('runs what people run on Node 22, and says what servers need', {
    skip: node22 === '' && 'NODE_22 names no Node',
  }, () => {
    const [folder = ''] = folders;
    execFileSync('npm', ['run', 'build', '--', '--preserve-symlinks'], { cwd: folder, stdio: 'ignore' });
    const run = (...args: readonly string[]) =>
      spawnSync(node22, [path.join(folder, 'dist/falco-federation.mjs'), ...args], {
        cwd: folder,
        encoding: 'utf8',
      });
    assert.equal(run('certs', 'hub', '--name', 'hub.example').status, 0);
    assert.equal(run('certs', 'spoke', 'staging').status, 0);
    const settings = path.join(root, 'docs/examples/federation.yaml');
    assert.match(run('check', '--settings', settings).stdout, /Healthy: /);
    assert.match(
      run('inject', '--settings', settings, '--filename', path.join(root, 'docs/examples/review.json'))
        .stdout,
      /JSONPatch/,
    );
    for (const command of ['serve', 'forward', 'receive'])
      assert.match(run(command, '--help').stderr, /requires Node 26 or later; this is 22/);
  });

  test('is the same, byte for byte, wherever and whenever it is made', () => {
    const bundles = folders.map((folder) => {
      // node_modules is a link here, and is in its place elsewhere.
      execFileSync('npm', ['run', 'build', '--', '--preserve-symlinks'], { cwd: folder, stdio: 'ignore' });
      const dist = path.join(folder, 'dist');
      return Object.fromEntries(
        readdirSync(dist)
          .sort()
          .map((name) => [name, readFileSync(path.join(dist, name), 'utf8')]),
      );
    });
    const [one = {}, other = {}] = bundles;
    assert.ok(Object.keys(one).length > 1);
    assert.deepEqual(Object.keys(one), Object.keys(other));
    for (const [name, text] of Object.entries(one)) assert.ok(text === other[name], `${name} differs`);
  });

  test('loads no client that no server uses', () => {
    const [folder = ''] = folders;
    execFileSync('npm', ['run', 'build', '--', '--preserve-symlinks'], { cwd: folder, stdio: 'ignore' });
    const list = 'data:text/javascript,process.on("exit",()=>console.log(process.moduleLoadList.join()))';
    for (const command of ['serve', 'forward', 'receive']) {
      const program = path.join(folder, 'dist/falco-federation.mjs');
      const args = ['--import', list, program, command, '--help'];
      const said = execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
      assert.match(said, /NativeModule http,/);
      assert.doesNotMatch(said, /undici/);
    }
  });

  test('holds packages whose licences may be passed on, each with its text for the image', () => {
    const [folder = ''] = folders;
    const file = path.join(folder, 'metafile.json');
    execFileSync('npm', ['run', 'build', '--', `--metafile=${file}`], { cwd: folder, stdio: 'ignore' });
    const { inputs } = JSON.parse(readFileSync(file, 'utf8')) as {
      inputs: Readonly<Record<string, unknown>>;
    };
    const packages = new Set(
      Object.keys(inputs).flatMap((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []),
    );
    assert.ok(packages.has('fastify') && packages.has('yaml'));
    for (const name of packages) {
      const { license } = JSON.parse(textOf(`node_modules/${name}/package.json`));
      const choices: readonly string[] = String(license).replaceAll(/[()]/g, '').split(' OR ');
      assert.ok(
        choices.some((one) => allowed.includes(one)),
        `${name}: ${license}`,
      );
    }
  });

  test('is all of the package that users take outside of a clone, and runs by itself', () => {
    const [folder = ''] = folders;
    cpSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
    execFileSync('npm', ['pack', '--silent', '--ignore-scripts'], { cwd: folder, stdio: 'ignore' });
    const place = temporaryFolder('package-');
    folders.push(place);
    const tarball = path.join(folder, `falco-federation-webhook-${packageVersion()}.tgz`);
    execFileSync('tar', ['-xzf', tarball, '-C', place]);
    const shipped = path.join(place, 'package');
    assert.deepEqual(readdirSync(shipped).sort(), ['LICENSE', 'dist', 'package.json']);
    const { bin } = JSON.parse(readFileSync(path.join(shipped, 'package.json'), 'utf8'));
    const program = path.join(shipped, bin['falco-federation']);
    const said = execFileSync(process.execPath, [program, '--version'], { cwd: place, encoding: 'utf8' });
    assert.equal(said.trim(), packageVersion());
  });

  test('has a bill of materials: what is installed without development', () => {
    const text = execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: root, encoding: 'utf8' });
    const { bomFormat, components } = JSON.parse(text);
    assert.equal(bomFormat, 'CycloneDX');
    const names = components.map(({ name }: { name: string }) => name);
    assert.ok(names.includes('fastify') && !names.includes('esbuild'));
  });
});

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<string, { readonly steps: readonly { readonly uses?: string; readonly run?: string }[] }>
  >;
}

describe('workflows', () => {
  const { scripts } = JSON.parse(textOf('package.json'));
  for (const file of globSync('.github/workflows/*.yml', { cwd: root })) {
    const { permissions, jobs } = parse(textOf(file)) as Workflow;
    const steps = Object.values(jobs).flatMap((job) => job.steps);

    test(`${file}: may read only, unless a job says more; actions are named by commit`, () => {
      assert.deepEqual(permissions, { contents: 'read' });
      for (const { uses } of steps)
        if (uses !== undefined) assert.match(uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/, uses);
      for (const line of textOf(file).split('\n'))
        if (/uses:/.test(line)) assert.match(line, /# v\d+\.\d+\.\d+$/, line);
    });

    test(`${file}: what it runs is there`, () => {
      for (const { run = '' } of steps) {
        for (const [, script = ''] of run.matchAll(/npm run (?:--silent )?(\w+)/g))
          assert.ok(script in scripts, script);
        for (const [, script = ''] of run.matchAll(/bash (\.ci\/\S+)/g)) assert.ok(textOf(script).length > 0);
      }
    });
  }
});
