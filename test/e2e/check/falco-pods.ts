/** Falco's pods that are not there, not whole, or not federated: what `check` says of each, and what mends it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { V1Pod } from '@kubernetes/client-node';
import { temporaryFolder } from '../../temporary-folder.ts';
import { podsIn } from '../created-pods.ts';
import { program, until } from '../replica.ts';
import { startSecondWebhook } from '../second-webhook.ts';
import type { Looking } from './looking.ts';
import { forwarder, namespace, patience, type Stage, webhook } from './stage.ts';

function containerStatus(name: string, state: object, lastState: object = {}): object {
  return { name, image: 'i', imageID: 'i', ready: false, restartCount: 3, state, lastState };
}

const ended = (exitCode: number, message: string) => ({
  terminated: { exitCode, message, startedAt: null, finishedAt: null },
});

/** What the real `tag-rules` leaves of a falco.yaml and a second rules file. */
function reportOf(configuration: string, second: string, flags: readonly string[]): string {
  const folder = temporaryFolder('tagging-');
  const file = (name: string): string => join(folder, name);
  mkdirSync(file('out'));
  writeFileSync(file('1.yaml'), '- {rule: a, desc: b, condition: evt.num=1, output: c, priority: INFO}\n');
  if (second !== '') writeFileSync(file('2.yaml'), second);
  writeFileSync(
    file('falco.yaml'),
    `rules_files: [${file('1.yaml')}, ${file('2.yaml')}]\n${configuration}\n`,
  );
  const places = ['--output', file('out'), '--config', file('falco.yaml')];
  execFileSync(
    process.execPath,
    [
      ...[program, 'tag-rules', '--tag', 'staging', ...places, '--termination-message', file('message')],
      ...['--on-failure', 'ignore', ...flags],
    ],
    { stdio: 'ignore' },
  );
  return readFileSync(file('message'), 'utf8');
}

export function testPods(stage: () => Stage, { told, says, run, tells, mended }: Looking): void {
  /** Has its controller make the pod of Falco again. */
  async function makeAgain(): Promise<void> {
    const { kubectl, pod } = stage();
    const { name = '' } = (await pod('falco', 'falco-')).metadata ?? {};
    await kubectl(['delete', 'pod', name, '--namespace', 'falco', '--force', '--grace-period=0']);
  }

  /** A controller tries again after a while, or when its DaemonSet changes. */
  async function tryAgain(): Promise<void> {
    const { kubectl, rolledOut } = stage();
    const again = `again=${performance.now()}`;
    await kubectl(['annotate', '--overwrite', 'daemonset', 'falco', '--namespace', 'falco', again]);
    const isThere = async (): Promise<boolean> =>
      (await podsIn(stage().api, 'falco')).some(({ metadata }) => /^falco-.{5}$/.test(metadata?.name ?? ''));
    await until('the pod is there', isThere, patience);
    await rolledOut('falco');
  }

  /** What a kubelet would write of Falco's pod, and what check says of it; then it is as before. */
  async function withStatus(status: object, look: (falco: V1Pod) => Promise<void>): Promise<void> {
    const { pod, setPodStatus, well } = stage();
    const falco = await pod('falco', 'falco-');
    await setPodStatus(falco, status);
    await look(falco);
    const asBefore = Object.fromEntries(
      Object.keys(status).map((key) => [key, falco.status?.[key as keyof typeof falco.status] ?? null]),
    );
    await setPodStatus(falco, asBefore);
    await well();
  }

  for (const [about, kind, spec, why, fix] of [
    [
      'a quota',
      'ResourceQuota',
      { hard: { pods: '0' } },
      /is forbidden: exceeded quota: small, requested: pods=1/,
      /--namespace falco describe resourcequota$/,
    ],
    [
      'a LimitRange',
      'LimitRange',
      { limits: [{ type: 'Container', max: { memory: '8Mi' }, default: { memory: '8Mi' } }] },
      /is forbidden: .*maximum memory usage per Container is 8Mi/,
      /--namespace falco describe limitrange$/,
    ],
  ] as const) {
    test(`Falco's pods that ${about} refuses`, async () => {
      const { kubectl, api, well } = stage();
      const metadata = { name: 'small', namespace: 'falco' };
      await kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind, metadata, spec }));
      await until(
        'it counts',
        async () => {
          const path = `/api/v1/namespaces/falco/${kind.toLowerCase()}s/small`;
          // Safe: it was created.
          const { status } = (await api.call('GET', path)).body as { status?: { hard?: object } };
          return kind === 'LimitRange' || status?.hard !== undefined;
        },
        patience,
      );
      await makeAgain();
      await tells('wanted_pods', why, fix);
      // The dry run asks for less than Falco does, or is refused likewise.
      await kubectl(['delete', kind, 'small', '--namespace', 'falco']);
      await tryAgain();
      await well();
    });
  }

  test('another webhook takes our containers out, and leaves our annotation', async () => {
    const { kubectl, api, egress, open, pod, rolledOut, well } = stage();
    const second = await startSecondWebhook('falco', ({ spec }) =>
      (spec?.containers ?? [])
        .flatMap(({ name }, at) => (name === 'falco-federation-ship-alerts' ? [at] : []))
        .map((at) => ({ op: 'remove', path: `/spec/containers/${at}` })),
    );
    egress.lead((address) => {
      const [host, port = ''] = address.split(':');
      return host === 'localhost' ? { to: 'port', port: Number(port) } : open(address);
    });
    await kubectl(['create', '-f', '-'], JSON.stringify(second.configuration));
    await until(
      'its pod is made without it',
      async () => {
        await makeAgain();
        await tryAgain();
        const { spec, metadata } = await pod('falco', 'falco-');
        assert.ok(metadata?.annotations?.['falco-federation.io/status'] !== undefined);
        return spec?.containers.every(({ name }) => name !== 'falco-federation-ship-alerts') === true;
      },
      patience,
    );
    const removed = await tells(
      'pods',
      /falco-federation-ship-alerts: removed by another webhook or a policy/,
      /^kubectl get mutatingwebhookconfigurations .* rollout restart daemonset\/falco$/,
    );
    // So does the webhook itself.
    const { metadata } = await pod(namespace, webhook);
    const metrics = `/api/v1/namespaces/${namespace}/pods/${metadata?.name}:9090/proxy/metrics`;
    const { body } = await api.call('GET', metrics);
    assert.match(String(body), /^falco_federation_pods\{.*namespace="falco".*state="failing".*\} 1$/m);
    await kubectl(['delete', 'mutatingwebhookconfiguration', 'mesh-proxy-injector']);
    await second.close();
    egress.lead(open);
    await run(removed.fix?.split('then: ')[1] ?? '');
    await rolledOut('falco');
    await well();
  });

  test('a pod that no node takes', async () => {
    const message = '0/3 nodes are available: 3 Insufficient cpu.';
    const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }];
    await withStatus({ conditions }, async () => {
      await tells('pods', /cannot be scheduled: 0\/3 nodes are available/, /describe pod falco-/);
    });
  });

  test('Falco in CrashLoopBackOff with our argument', async () => {
    const waiting = { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 20s' } };
    const last = ended(1, 'Error: Cannot add to a key that is no list: config_files');
    await withStatus({ containerStatuses: [containerStatus('falco', waiting, last)] }, async () => {
      await tells(
        'pods',
        /falco: CrashLoopBackOff, exit status 1: Error: Cannot add/,
        /logs falco-\w+ --container falco --previous$/,
      );
    });
  });

  test('an image that cannot be pulled; a container of ours that has ended', async () => {
    const notFound = { waiting: { reason: 'ImagePullBackOff', message: 'not found' } };
    const tagRules = 'falco-federation-tag-rules';
    await withStatus({ initContainerStatuses: [containerStatus(tagRules, notFound)] }, async () => {
      await tells('pods', /falco-federation-tag-rules: ImagePullBackOff/, /describe pod falco-/);
    });
    await withStatus({ initContainerStatuses: [containerStatus(tagRules, ended(1, 'no'))] }, async () => {
      await tells('pods', /tag-rules: exit status 1: no/, /logs falco-\w+ --container falco-fed[\w-]+$/);
    });
  });

  for (const [about, mark, configuration, second, flags, why] of [
    [
      'keys that our arguments add to are no lists',
      'error',
      'config_files: {}',
      '',
      ['--', '-o', 'config_files[]={"path":"/etc/falco-federation","strategy":"override"}'],
      /^rules_config_refused: .*\[\] on a key that is null, a scalar or a mapping/,
    ],
    [
      'file_output is taken',
      'error',
      'file_output: {enabled: true, filename: /var/log/falco.json}',
      '',
      ['--alerts-to', '/var/lib/falco-federation-alerts/alerts'],
      /^rules_tagged: .*alerts_file_output_taken: Falco's own file_output is enabled/,
    ],
    [
      'a rules file that Falco refuses',
      'warning',
      '',
      '- {rule: ',
      [],
      /^rules_tagged_in_part: .*rules_file_not_parsed: /,
    ],
  ] as const) {
    test(`what tag-rules found: ${about}`, async () => {
      const terminated = ended(0, reportOf(configuration, second, flags));
      const status = { initContainerStatuses: [containerStatus('falco-federation-tag-rules', terminated)] };
      await withStatus(status, async () => {
        await tells('tag_rules', why, /logs falco-\w+ --container falco-federation-tag-rules$/, mark);
      });
    });
  }

  test('every Falco of the only namespace opted out', async () => {
    const { patch, rolledOut, well } = stage();
    const labels = { 'falco-federation.io/inject': 'disabled' };
    await patch('daemonset', 'falco', { spec: { template: { metadata: { labels } } } }, 'falco');
    await rolledOut('falco');
    const out = await tells('pods', /so no alert of this cluster is federated/, /edit daemonset\/falco /);
    await run(out.fix ?? '', { script: '/falco-federation.io.inject: disabled/d' });
    await rolledOut('falco');
    await well();
  });

  test("pods of the chart's labels that are not recognised", async () => {
    const { patch, rolledOut, look, well } = stage();
    const containers = {
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'falco', $patch: 'delete' },
              { name: 'sensor', image: 'sensor:1', command: ['/sensor'] },
            ],
          },
        },
      },
    };
    const { body } = await stage().api.call('GET', '/apis/apps/v1/namespaces/falco/daemonsets/falco');
    await patch('daemonset', 'falco', containers, 'falco');
    await rolledOut('falco');
    const found = told(await look(), 'pods', 'warning');
    await says(found, /not recognised: no container starts Falco/, /edit daemonset\/falco .*falco$/);
    await run(found.fix ?? '', { script: 's|- /sensor|- /usr/bin/falco|' });
    await rolledOut('falco');
    await mended('pods');
    // Safe: it was there.
    const { spec } = body as { spec: { template: object } };
    await stage().api.call(
      'PATCH',
      '/apis/apps/v1/namespaces/falco/daemonsets/falco',
      { spec: { template: spec.template } },
      'application/merge-patch+json',
    );
    await rolledOut('falco');
    await well();
  });
}

/** Our own programs: an upgrade that hangs, and what somebody undoes again and again. */
export function testPrograms(
  stage: () => Stage,
  { told, says, run, lookUntil, tells, mended }: Looking,
): void {
  test('an upgrade that hangs: a new replica that cannot be pulled, half of the forwarders down', async () => {
    const { patch, well, api } = stage();
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
    const to = (name: string) => ({
      spec: { template: { spec: { containers: [{ name, image: 'falco-federation-webhook:missing' }] } } },
    });
    await patch('deployment', webhook, { spec: { strategy } });
    await patch('deployment', webhook, to('webhook'));
    await patch('statefulset', forwarder, to('forwarder'));
    const why = /it is stuck: .*: ImagePullBackOff, not found/;
    const ofWebhook = await tells(
      'webhook_rollout',
      why,
      /rollout undo deployment\/falco-federation-webhook$/,
    );
    await lookUntil('webhook_replicas', 'ok');
    const found = await lookUntil('forwarder_rollout', 'error', why);
    const ofForwarder = told(found, 'forwarder_rollout', 'error', why);
    const half = told(found, 'forwarder_replicas');
    assert.match(half.text, /^1 of 2 replicas of the forwarder are ready$/);
    await says(half, /forwarder: ImagePullBackOff/, /describe pod --selector/);
    await run(ofWebhook.fix ?? '');
    await run(ofForwarder.fix ?? '');
    await mended('webhook_rollout');
    await mended('forwarder_rollout');
    await patch('deployment', webhook, { spec: { strategy: { type: 'Recreate', rollingUpdate: null } } });
    await well();
    const pods = await podsIn(api, namespace);
    assert.ok(pods.every(({ spec }) => !spec?.containers[0]?.image?.endsWith(':missing')));
  });

  test('a caBundle that somebody empties again and again', async () => {
    const { api, well } = stage();
    const path = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${webhook}`;
    const body = { webhooks: [{ name: 'inject.falco-federation.io', clientConfig: { caBundle: '' } }] };
    let stopped = false;
    const emptying = (async () => {
      while (!stopped) {
        await api.call('PATCH', path, body, 'application/strategic-merge-patch+json');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    try {
      await tells(
        'webhook_configuration',
        /it was changed \d+ times within a second: another client keeps reverting what the webhook/,
        /get mutatingwebhookconfiguration falco-federation-webhook .*--show-managed-fields /,
      );
    } finally {
      stopped = true;
      await emptying;
    }
    await well();
  });
}
