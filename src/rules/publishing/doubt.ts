/** Whether a plan is to be trusted at first sight, or may have been made while somebody was writing the rules. */

import { inFolder } from '../configuration/paths.ts';
import { dropInName, listedFolders } from './drop-in.ts';
import type { PlannedFile, PublicationPlan } from './publication-plan.ts';
import { type PublishingDisk, rulesFolder } from './publish.ts';

/**
 * Whether publishing the plan would take a file from Falco that is published now, or put a broken or an empty one in
 * its place. All of that may be meant; but it is also how a file looks that is away, or half written, for a moment.
 *
 * @throws what the disk does
 */
export function wouldTakeAway(plan: PublicationPlan, disk: PublishingDisk, output: string): boolean {
  const planned = new Map<string, readonly PlannedFile[]>();
  for (const item of plan.dropIn?.items ?? []) if (item.is === 'folder') planned.set(item.name, item.files);
  return publishedFolders(disk, output).some((folder) => {
    const files = planned.get(folder) ?? planned.get(folder.replace(/\.\d+$/, ''));
    const path = inFolder(rulesFolder(output), folder);
    return (
      files === undefined ||
      disk.names(path).some((name) => isWorse(files, name, () => disk.read(`${path}/${name}`)))
    );
  });
}

/** Names of the folders that the drop-in in force lists. */
export function publishedFolders(disk: PublishingDisk, output: string): readonly string[] {
  const dropIn = inFolder(output, dropInName);
  const listed = disk.kind(dropIn) === 'file' ? listedFolders(disk.read(dropIn), rulesFolder(output)) : [];
  return listed.filter((name) => disk.kind(inFolder(rulesFolder(output), name)) === 'folder');
}

function isWorse(files: readonly PlannedFile[], name: string, published: () => Buffer): boolean {
  const file = files.find((one) => one.name === name);
  if (file === undefined) return true;
  return (file.isBroken || file.bytes.length === 0) && !published().equals(file.bytes);
}
