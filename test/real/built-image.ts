/** Builds the Dockerfile and unpacks what came out. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildah, provideBaseImage } from './base-image.ts';
import { must } from './machine.ts';
import { cache, root } from './places.ts';

export interface BuiltImage {
  /** Where its files lie, owned and with modes as in the image. */
  readonly rootfs: string;
  readonly config: ImageConfig;
  readonly base: string;
  /** Bytes of the layers as a registry keeps them (gzip). */
  readonly compressed: number;
  /** Bytes of the layers unpacked, as tar. */
  readonly uncompressed: number;
}

/** The part of an OCI image's `config` that a runtime goes by. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels: Readonly<Record<string, string>>;
}

const tag = 'falco-federation-webhook:real';

/** Takes about a minute, two more when the base image must be made first. Throws with what buildah said. */
export function buildImage(): BuiltImage {
  // What builds that failed or were stopped have left; the store is ours alone.
  buildah('rm', '--all');
  buildah('rmi', '--prune', '--force');
  const base = provideBaseImage();
  buildah(
    ...['bud', '--isolation', 'chroot', '--pull-never', '--quiet', '--tag', tag],
    ...npmOfThisMachine(),
    root,
  );
  const layout = join(cache, 'oci');
  rmSync(layout, { recursive: true, force: true });
  buildah('push', '--quiet', tag, `oci:${layout}:real`);
  buildah('rmi', '--force', tag);
  return { base, ...unpack(layout) };
}

/**
 * How npm in the build gets at packages: through the cache that `npm ci` of this repository has just filled, and
 * beyond it as the npm outside does. Volumes, so that nothing of it ends in the image or in the Dockerfile.
 */
function npmOfThisMachine(): readonly string[] {
  const settings = [
    'prefer-offline=true',
    `registry=${must('npm', ['config', 'get', 'registry'], { cwd: root }).trim()}`,
  ];
  const volumes = [`${must('npm', ['config', 'get', 'cache'], { cwd: root }).trim()}:/root/.npm`];
  const authorities = process.env.NODE_EXTRA_CA_CERTS;
  if (authorities !== undefined && authorities !== '') {
    // A copy, as the original may be a link to where the build cannot see.
    copyFileSync(authorities, join(cache, 'authorities.crt'));
    volumes.push(`${join(cache, 'authorities.crt')}:/run/authorities.crt:ro`);
    settings.push('cafile=/run/authorities.crt');
  }
  const file = join(cache, 'npmrc');
  writeFileSync(file, `${settings.join('\n')}\n`);
  volumes.push(`${file}:/root/.npmrc:ro`);
  return volumes.flatMap((volume) => ['--volume', volume]);
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

function unpack(layout: string): Omit<BuiltImage, 'base'> {
  const blob = ({ digest }: Descriptor) => join(layout, 'blobs', digest.replace(':', '/'));
  // The casts here are safe: the OCI image specification says what these files hold, and buildah has written them.
  const read = <T>(path: string) => JSON.parse(readFileSync(path, 'utf8')) as T;
  const index = read<{ manifests: [Descriptor] }>(join(layout, 'index.json'));
  const manifest = read<{ config: Descriptor; layers: Descriptor[] }>(blob(index.manifests[0]));
  const { config } = read<{ config: ImageConfig }>(blob(manifest.config));

  const rootfs = join(cache, 'rootfs');
  rmSync(rootfs, { recursive: true, force: true });
  mkdirSync(rootfs, { recursive: true });
  let uncompressed = 0;
  for (const layer of manifest.layers) {
    const tar = join(cache, 'layer.tar');
    must('sh', ['-c', 'gzip --decompress --stdout "$1" > "$2"', 'sh', blob(layer), tar]);
    uncompressed += statSync(tar).size;
    must('tar', ['--extract', '--same-owner', '--same-permissions', '--file', tar, '--directory', rootfs]);
    rmSync(tar);
  }
  rmSync(layout, { recursive: true });
  return {
    rootfs,
    config,
    compressed: manifest.layers.reduce((sum, { size }) => sum + size, 0),
    uncompressed,
  };
}
