import { describeProblem, loadSettings, type SettingsResult } from '../settings/load.ts';
import { placeholders } from '../settings/placeholders.ts';
import { fingerprintOfSettings, type Settings } from '../settings/schema.ts';
import type { Check } from './check.ts';
import { installCommand } from './install-command.ts';
import { error, type Line, ok, warning } from './line.ts';
import { settingsKey, webhookName } from './names.ts';
import { condition, type Replica } from './replica.ts';

/** What is allowed and yet hardly meant. */
function unlikely(settings: Settings, where: string, fix: string | undefined): readonly Line[] {
  const lines: Line[] = [];
  const { hub, role, cluster } = settings;
  for (const { key, value, why } of placeholders(settings)) {
    lines.push(warning('settings_placeholder', `${where}: ${key} ${value}`, why, fix));
  }
  if (role === 'spoke' && hub === undefined) {
    const why = `alerts are marked as "${cluster}" but not forwarded; set hub.address, or role: hub on the hub`;
    lines.push(warning('settings_hub', `${where}: no hub`, why, fix));
  }
  if (hub?.address.startsWith('http://')) {
    const why = 'not encrypted: anyone in between can read and change alerts; use https://';
    lines.push(warning('settings_encryption', `${where}: the way to ${hub.address}`, why, fix));
  }
  return lines;
}

function judged(read: SettingsResult, where: string, fix: string | undefined): readonly Line[] {
  if (!read.ok) {
    const why = read.problems.map((problem) => describeProblem(settingsKey, problem)).join('; ');
    return [error('settings', `${where} is valid`, why, fix)];
  }
  const { cluster, role } = read.settings;
  return [ok('settings', `${where} is valid: ${role} "${cluster}"`), ...unlikely(read.settings, where, fix)];
}

/** `check --settings FILE`: the file alone, without a cluster. */
export async function checkSettingsFile(file: string): Promise<readonly Line[]> {
  const read = await loadSettings(file);
  if (read.ok) return judged(read, file, undefined);
  return read.problems.map((problem) =>
    error('settings', `${file} is valid`, describeProblem(file, problem), 'docs/settings.md has every key'),
  );
}

/** A replica that works by other settings than the file's, or refuses it. */
function differing(replica: Replica, read: SettingsResult, fix: string): readonly Line[] {
  const detail = condition(replica, 'settings')?.detail;
  if (detail === undefined) return [];
  const text = `settings of ${replica.name}`;
  if (!/^ok\b/.test(detail)) return [error('settings_everywhere', text, detail, fix)];
  const [, inForce] = /^ok, ([0-9a-f]+)/.exec(detail) ?? [];
  if (inForce === undefined || !read.ok || inForce === fingerprintOfSettings(read.settings)) return [];
  const why = 'its settings are not those of the ConfigMap yet; the kubelet updates them within two minutes';
  return [warning('settings_everywhere', text, why, fix)];
}

export const settings: Check = {
  name: 'settings',
  title: 'the settings are valid',
  look: async (view) => {
    const namespace = await view.place();
    const read = await view.settings();
    const where = `ConfigMap ${namespace}/${webhookName}`;
    const edit = `kubectl --namespace ${namespace} edit configmap/${webhookName}`;
    if (read === undefined) {
      const why = `it has no ${settingsKey}, or is not there`;
      return [error('settings', `${where} is valid`, why, installCommand(await view.installed()))];
    }
    const replicas = [
      ...(await view.replicasOf('webhook')),
      ...(await view.replicasOf('forwarder').catch(() => [])),
    ];
    const others = replicas.flatMap((replica) => differing(replica, read, edit));
    const seen = replicas.filter((replica) => condition(replica, 'settings') !== undefined).length;
    const same = others.length === 0 && seen > 0 && read.ok;
    return [
      ...judged(read, where, edit),
      ...others,
      ...(same ? [ok('settings_everywhere', `all ${seen} replicas use them`)] : []),
    ];
  },
};
