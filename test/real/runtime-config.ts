/**
 * A pod's container as a runtime gets it: what kubelet and containerd make of it, as config.json for runc.
 *
 * Left out: cgroups and resource limits (not every machine that builds has them), seccomp and AppArmor profiles,
 * network namespaces, devices, mount propagation.
 */
import type { V1Container, V1Pod, V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import type { ImageConfig } from './built-image.ts';

export interface RuntimeInputs {
  readonly pod: V1Pod;
  readonly container: V1Container;
  readonly image: ImageConfig;
  /** Absolute path of the container's own copy of the image's files. */
  readonly rootfs: string;
  /** Where the content of each of the pod's volumes lies on this machine, by the volume's name. */
  readonly volumes: ReadonlyMap<string, string>;
  /** The file that becomes /dev/termination-log. */
  readonly terminationLog: string;
  /** Files of this machine by their paths in the container, which every container of the pod gets. */
  readonly files: Readonly<Record<string, string>>;
  /** A path below a volume's folder, with links followed: kubelet mounts what a subPath's links point to. */
  readonly resolve: (folder: string, subPath: string) => string;
}

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** The config.json of one container. Throws if the pod is not one that a cluster would run. */
export function runtimeConfig(inputs: RuntimeInputs): unknown {
  const { pod, container, image, rootfs } = inputs;
  const security = { ...pod.spec?.securityContext, ...container.securityContext };
  const { uid, gid } = userOf(security, image);
  const capabilities = keptCapabilities(container);
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid, additionalGids: additionalGroups(pod) },
      args: commandOf(container, image),
      env: [...image.Env, ...(container.env ?? []).map(({ name, value }) => `${name}=${value ?? ''}`)],
      cwd: container.workingDir ?? (image.WorkingDir || '/'),
      capabilities: {
        bounding: capabilities,
        // Only root's capabilities survive the start of a program.
        effective: uid === 0 ? capabilities : [],
        permitted: uid === 0 ? capabilities : [],
        inheritable: [],
        ambient: [],
      },
      noNewPrivileges: container.securityContext?.allowPrivilegeEscalation === false,
    },
    root: { path: rootfs, readonly: container.securityContext?.readOnlyRootFilesystem === true },
    hostname: pod.metadata?.name ?? 'pod',
    mounts: [...ownMounts, ...volumeMounts(inputs), ...fileMounts(inputs)],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

function userOf(
  security: { runAsUser?: number; runAsGroup?: number; runAsNonRoot?: boolean },
  image: ImageConfig,
): { readonly uid: number; readonly gid: number } {
  const [imageUser = '0', imageGroup = '0'] = image.User.split(':');
  const uid = security.runAsUser ?? Number(imageUser);
  const gid = security.runAsGroup ?? (security.runAsUser === undefined ? Number(imageGroup) : 0);
  if (!Number.isInteger(uid)) throw new Error(`image user ${image.User}: kubelet needs a number`);
  if (security.runAsNonRoot === true && uid === 0) {
    throw new Error('kubelet refuses: runAsNonRoot is set and the user is root');
  }
  return { uid, gid };
}

function additionalGroups({ spec }: V1Pod): readonly number[] {
  const { fsGroup, supplementalGroups } = spec?.securityContext ?? {};
  return [...(supplementalGroups ?? []), ...(fsGroup === undefined ? [] : [fsGroup])];
}

/** What containerd leaves a container. */
const usual = [
  ...[
    'CAP_AUDIT_WRITE',
    'CAP_CHOWN',
    'CAP_DAC_OVERRIDE',
    'CAP_FOWNER',
    'CAP_FSETID',
    'CAP_KILL',
    'CAP_MKNOD',
  ],
  ...[
    'CAP_NET_BIND_SERVICE',
    'CAP_NET_RAW',
    'CAP_SETFCAP',
    'CAP_SETGID',
    'CAP_SETPCAP',
    'CAP_SETUID',
    'CAP_SYS_CHROOT',
  ],
];

function keptCapabilities({ securityContext }: V1Container): readonly string[] {
  const { add = [], drop = [] } = securityContext?.capabilities ?? {};
  const names = (short: readonly string[]) => short.map((name) => `CAP_${name}`);
  const left = drop.includes('ALL') ? [] : usual.filter((name) => !names(drop).includes(name));
  return [...new Set([...left, ...names(add)])];
}

/** Arguments with `$(NAME)` replaced as kubelet does: from this container's own env, else left as they are (FACTS 4.1). */
function commandOf(container: V1Container, image: ImageConfig): readonly string[] {
  const known = new Map((container.env ?? []).map(({ name, value }) => [name, value ?? '']));
  const expand = (text: string) =>
    text.replace(/\$\$|\$\(([^)]*)\)/g, (all, name?: string) =>
      name === undefined ? '$' : (known.get(name) ?? all),
    );
  const command = container.command?.map(expand) ?? image.Entrypoint;
  const own = container.command === undefined ? (image.Cmd ?? []) : [];
  return [...command, ...(container.args?.map(expand) ?? own)];
}

/** What every container has, as containerd mounts it. */
const ownMounts: readonly Mount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  // Bound, not mounted anew: a new one needs a network namespace of its own.
  {
    destination: '/sys',
    type: 'bind',
    source: '/sys',
    options: ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'],
  },
];

function fileMounts({ container, terminationLog, files }: RuntimeInputs): readonly Mount[] {
  const termination = container.terminationMessagePath ?? '/dev/termination-log';
  return Object.entries({ ...files, [termination]: terminationLog }).map(([destination, source]) => ({
    ...{ destination, source, type: 'bind' },
    options: ['rbind', 'rprivate', 'rw'],
  }));
}

function volumeMounts({ pod, container, volumes, resolve }: RuntimeInputs): readonly Mount[] {
  const mounts = (container.volumeMounts ?? []).map((mount): Mount => {
    const volume = pod.spec?.volumes?.find(({ name }) => name === mount.name);
    const folder = volumes.get(mount.name);
    if (volume === undefined || folder === undefined) {
      throw new Error(`container ${container.name} mounts ${mount.name}, which the pod does not have`);
    }
    return {
      destination: mount.mountPath,
      type: 'bind',
      source: mount.subPath === undefined ? folder : resolve(folder, mount.subPath),
      options: ['rbind', 'rprivate', isReadOnly(mount, volume) ? 'ro' : 'rw'],
    };
  });
  // containerd's order: by the number of path components, otherwise as the pod has them.
  return mounts.sort((one, other) => depth(one.destination) - depth(other.destination));
}

/** kubelet mounts what it writes itself read-only, whatever the pod says. */
function isReadOnly(mount: V1VolumeMount, volume: V1Volume): boolean {
  const kubeletWrites = volume.configMap ?? volume.secret ?? volume.projected ?? volume.downwardAPI;
  return mount.readOnly === true || kubeletWrites !== undefined;
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}
