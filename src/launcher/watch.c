/*
 * Waiting for a change without waking up for anything else.
 *
 * inotify only says when to look: what counts are the signatures. So a change that came before the watch was set is
 * not missed, and an event that changes nothing (our own reading, a file that is not ours) starts nothing.
 */
#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between looks without an event: for links that lead elsewhere, and file systems without events. */
enum { LOOK_EVERY = 60000 };

/* The same where inotify is not to be had: a node's watches are few, and other programs use them too. */
#ifndef POLL_EVERY
#define POLL_EVERY 2000
#endif

/* Milliseconds for which nothing may change before a change counts: falcoctl writes in place (FACTS 2.6). */
#ifndef REST
#define REST 1000
#endif

/* Milliseconds in which events are gathered. */
#ifndef MOMENT
#define MOMENT 200
#endif

/* Looks after which a change counts although files go on changing. */
static const int most_looks = 30;

static const uint32_t events = IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                               IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/* Room for two 64-bit numbers, two times in nanoseconds and what stands between them. */
enum { SIGNATURE_SIZE = 128 };

/* As signatureOf in src/rules/configuration/file-system.ts: inode, size, times in nanoseconds; or the number of the error. */
static void sign(const char *path, char *signature)
{
    struct stat found;
    if (stat(path, &found) != 0) {
        snprintf(signature, SIGNATURE_SIZE, "-%d", errno);
        return;
    }
    long long modified = found.st_mtim.tv_sec * 1000000000LL + found.st_mtim.tv_nsec;
    long long changed = found.st_ctim.tv_sec * 1000000000LL + found.st_ctim.tv_nsec;
    snprintf(signature, SIGNATURE_SIZE, "%llu %lld %lld %lld", (unsigned long long)found.st_ino,
             (long long)found.st_size, modified, changed);
}

static int is_changed(const struct watch_list *list)
{
    char now[SIGNATURE_SIZE];
    for (size_t at = 0; at < list->count; at++) {
        sign(list->items[at].path, now);
        if (strcmp(now, list->items[at].signature) != 0)
            return 1;
    }
    return 0;
}

/* One number for all signatures (FNV-1a), to see whether they have come to rest. */
static uint64_t digest(const struct watch_list *list)
{
    uint64_t sum = 14695981039346656037U;
    char now[SIGNATURE_SIZE];
    for (size_t at = 0; at < list->count; at++) {
        sign(list->items[at].path, now);
        for (const char *byte = now; *byte != '\0'; byte++)
            sum = (sum ^ (unsigned char)*byte) * 1099511628211U;
    }
    return sum;
}

/* Watches the path if it is a folder, and the folder that it is in, or would be in. Returns 0 or the error's number. */
static int watch(int inotify, const char *path)
{
    char *folder = strdup(path);
    if (folder == NULL)
        return ENOMEM;
    inotify_add_watch(inotify, folder, events);
    int error = ENOENT;
    char *slash;
    while (error == ENOENT && (slash = strrchr(folder, '/')) != NULL) {
        int is_root = slash == folder;
        slash[is_root] = '\0';
        error = inotify_add_watch(inotify, folder, events) >= 0 ? 0 : errno;
        if (error == ENOTDIR)
            error = ENOENT;
        if (is_root)
            break;
    }
    free(folder);
    return error;
}

/* Watches all of it. Returns 0, or the number of an error if some of it cannot be watched. */
static int watch_all(int inotify, const struct watch_list *list)
{
    for (size_t at = 0; at < list->count; at++) {
        int error = watch(inotify, list->items[at].path);
        if (error != 0)
            return error;
    }
    return 0;
}

static void drain(int inotify)
{
    char buffer[4096];
    while (read(inotify, buffer, sizeof buffer) > 0)
        ;
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Sleeps, but for an event of either or a signal. Returns whether a signal came. */
static int sleep_until(int64_t end, int inotify, int other, int signal_fd)
{
    int64_t left = end - now_ms();
    /* poll leaves out descriptors below 0. */
    struct pollfd ready[] = { { signal_fd, POLLIN, 0 }, { inotify, POLLIN, 0 }, { other, POLLIN, 0 } };
    poll(ready, 3, left < 0 ? 0 : (int)left);
    return ready[0].revents != 0;
}

static int rest_until(int64_t end, int signal_fd)
{
    return sleep_until(end, -1, -1, signal_fd);
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static enum woken settle(const struct watch_list *list, int signal_fd)
{
    uint64_t before;
    uint64_t now = digest(list);
    int looks = 0;
    do {
        before = now;
        if (rest_until(now_ms() + REST, signal_fd))
            return STOPPED;
        now = digest(list);
    } while (now != before && ++looks < most_looks);
    return CHANGED;
}

static enum woken look_and_sleep(const struct watch_list *list, struct publication *publication, int inotify,
                                 int every, int signal_fd)
{
    int64_t end = list->within > 0 ? now_ms() + list->within : 0;
    for (;;) {
        attend(publication);
        if (is_changed(list))
            return settle(list, signal_fd);
        int64_t now = now_ms();
        if (end > 0 && now >= end)
            return STILL;
        int64_t next = now + every;
        if (end > 0)
            next = earlier(end, next);
        if (publication->due > 0)
            next = earlier(publication->due, next);
        /* Then a moment more, as events seldom come alone. */
        if (sleep_until(next, inotify, publication->inotify, signal_fd) ||
            rest_until(now_ms() + MOMENT, signal_fd))
            return STOPPED;
        drain(inotify);
    }
}

enum woken wait_for_change(const struct watch_list *list, struct publication *publication, int signal_fd)
{
    static int told = 0;
    int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int error = inotify < 0 ? errno : watch_all(inotify, list);
    int every = error == 0 ? LOOK_EVERY : POLL_EVERY;
    if (error != 0 && !told++)
        fprintf(stderr, "falco-federation: inotify unavailable (%s); polling every %d s\n", strerror(error),
                every / 1000);
    enum woken why = look_and_sleep(list, publication, inotify, every, signal_fd);
    if (inotify >= 0)
        close(inotify);
    return why;
}
