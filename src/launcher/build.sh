#!/bin/sh
# Compiles the launcher: `sh src/launcher/build.sh dist/launcher`. CC names another compiler; what follows goes to it.
#
# With musl, as names must resolve in a program that is linked statically: glibc loads libraries for that.
set -eu
if [ -z "${CC:-}" ]; then
  for CC in musl-gcc none; do command -v "$CC" > /dev/null && break; done
fi
if [ "$CC" = none ]; then
  echo 'The launcher needs musl-gcc (Debian, Ubuntu: musl-tools; Fedora: musl-gcc), or CC=cc where cc is of musl (Alpine).' >&2
  exit 1
fi
launcher="$1"
shift
mkdir -p "$(dirname "$launcher")"
exec "$CC" -std=c11 -D_GNU_SOURCE -Os -static -s -Wall -Wextra -Wpedantic -Werror "$@" -o "$launcher" "$(dirname "$0")"/*.c
