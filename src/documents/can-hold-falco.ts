const kindWithPods =
  /\bkind["']?[ \t]*:[ \t]*["']?(?:Pod|DaemonSet|Deployment|StatefulSet|ReplicaSet|Job|CronJob|\w*List)\b/;
const namespace = /\bnamespace["']?[ \t]*:[ \t]*["']?[\w-]+/g;
const falcoWord = /(?:^|[\s"'/,[{=])falco(?:sidekick|-no-driver|-distroless)?(?=$|[\s"':@,\]}])/m;

/**
 * Whether a text that cannot be read may be a workload with Falco or falcosidekick in it, as far as its words tell: it
 * names a kind that has a pod template, or a List, and a falco that is a program, an image or a name.
 */
export function canHoldFalco(text: string): boolean {
  return kindWithPods.test(text) && falcoWord.test(text.replace(namespace, ''));
}
