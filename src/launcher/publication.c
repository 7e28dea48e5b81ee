/*
 * A publication is done when Falco has read it.
 *
 * Falco reads its configuration, loads its rules, and only then sets its watches: of what is published in between it
 * never hears (FACTS 1.7). So the drop-in that Node has written is renamed into its place here, with a watch on it from
 * before: whoever opens it after that is Falco, at its start or in a reload. While nobody does, the same bytes are
 * renamed over it again, which a Falco that has its watches by then notices.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* Milliseconds until it is renamed again for the first time; each further pause is twice as long. Falco with 93 rules
   and a tenth of a processor is blind for 2.7 s: it is to be through with that, and not to be disturbed in it. */
#ifndef FIRST_PAUSE
#define FIRST_PAUSE 5000
#endif

/* How often it is renamed again: for 21 minutes then. A Falco that has not read it by then does not run, and reads it
   when it starts; or it looks for no changes (FACTS 1.15), and then it is no use. */
#ifndef MOST_TIMES
#define MOST_TIMES 8
#endif

/* The same where nobody can tell whether it was read: each time may cost Falco a reload. */
enum { MOST_TIMES_UNSEEN = 2 };

/* A list of paths; more than this is not one. */
static const size_t largest_drop_in = 16 << 20;

/* The name of a file beside the draft that is there from before the rename until the drop-in was read: it makes Node
   renew the drop-in when this program was killed and starts again (src/rules/publishing/publish.ts). */
static const char unread[] = "unread";

static int read_whole(int from, struct publication *it)
{
    struct stat found;
    if (fstat(from, &found) != 0)
        return 0;
    if ((uint64_t)found.st_size > largest_drop_in)
        return errno = EFBIG, 0;
    it->bytes = malloc((size_t)found.st_size + 1);
    if (it->bytes == NULL)
        return 0;
    while (it->length < (size_t)found.st_size) {
        ssize_t got = read(from, it->bytes + it->length, (size_t)found.st_size - it->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return errno = got == 0 ? EIO : errno, 0;
        it->length += (size_t)got;
    }
    return 1;
}

/* Takes over what is to be put in force. Returns 0, having said why, when it cannot. */
static int take(struct publication *it, const char *draft, const char *path)
{
    *it = (struct publication){ .path = strdup(path), .draft = strdup(draft), .inotify = -1 };
    if (it->path == NULL || it->draft == NULL)
        return fail("keep", draft, errno);
    int from = open(draft, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return fail("read", draft, errno);
    int done = read_whole(from, it);
    if (!done)
        fail("read", draft, errno);
    close(from);
    return done;
}

/* Watches for a path being opened, from now on. Says once where that is not to be had. */
static void watch_opening(struct publication *it, const char *path)
{
    static int told = 0;
    if (it->inotify < 0)
        it->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (it->inotify >= 0 && inotify_add_watch(it->inotify, path, IN_OPEN | IN_DONT_FOLLOW) >= 0)
        return;
    if (!told++)
        fprintf(stderr, "falco-federation: inotify unavailable (%s); cannot tell whether Falco reads what is published\n",
                strerror(errno));
    stop_looking(it);
}

/* Makes the mark, or takes it away. Where it cannot be made there is no room for the draft either. */
static void set_mark(const struct publication *it, int is_unread)
{
    char mark[PATH_MAX];
    const char *slash = strrchr(it->draft, '/');
    int folder = slash == NULL ? 0 : (int)(slash - it->draft) + 1;
    if (snprintf(mark, sizeof mark, "%.*s%s", folder, it->draft, unread) >= PATH_MAX)
        return;
    if (!is_unread) {
        unlink(mark);
        return;
    }
    int made = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (made >= 0)
        close(made);
}

/* Milliseconds from now until it is renamed again, if it is. */
static int64_t pause_of(const struct publication *it)
{
    return (int64_t)FIRST_PAUSE << it->times;
}

static int most_times(const struct publication *it)
{
    return it->inotify < 0 ? MOST_TIMES_UNSEEN : MOST_TIMES;
}

/* Renames the draft to its place, and keeps how it looks there. */
static int rename_draft(struct publication *it)
{
    struct stat found;
    if (rename(it->draft, it->path) != 0)
        return 0;
    int done = lstat(it->path, &found) == 0;
    it->inode = done ? found.st_ino : 0;
    it->changed = done ? found.st_ctim : (struct timespec){ 0 };
    return 1;
}

int put_in_force(struct publication *it, const char *draft, const char *path)
{
    forget(it);
    if (!take(it, draft, path)) {
        forget(it);
        return 0;
    }
    watch_opening(it, draft);
    set_mark(it, 1);
    if (!rename_draft(it)) {
        fail("rename the new list to", path, errno);
        forget(it);
        return 0;
    }
    it->since = now_ms();
    it->due = it->since + pause_of(it);
    fprintf(stderr, "falco-federation: published %s; waiting for Falco to read it\n", path);
    return 1;
}

void forget(struct publication *it)
{
    stop_looking(it);
    free(it->path);
    free(it->draft);
    free(it->bytes);
    *it = (struct publication){ .inotify = -1 };
}

void stop_looking(struct publication *it)
{
    if (it->inotify >= 0)
        close(it->inotify);
    it->inotify = -1;
}

/* Whether what was published is in force still. */
static int is_in_force(const struct publication *it)
{
    struct stat found;
    return lstat(it->path, &found) == 0 && found.st_ino == it->inode && found.st_ctim.tv_sec == it->changed.tv_sec &&
           found.st_ctim.tv_nsec == it->changed.tv_nsec;
}

/* It was taken back, or somebody else has put another one there. The mark stays: it was not read. */
static void give_way(struct publication *it)
{
    fprintf(stderr, "falco-federation: %s was replaced or removed; no longer waiting\n", it->path);
    forget(it);
}

void look_again(struct publication *it)
{
    if (it->path == NULL)
        return;
    if (!is_in_force(it))
        give_way(it);
    else
        watch_opening(it, it->path);
}

/* Whether the drop-in has been opened since the last look. */
static int is_opened(const struct publication *it)
{
    _Alignas(struct inotify_event) char buffer[4096];
    int opened = 0;
    ssize_t got;
    while (it->inotify >= 0 && (got = read(it->inotify, buffer, sizeof buffer)) > 0) {
        for (char *at = buffer; at < buffer + got;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            opened |= (event->mask & IN_OPEN) != 0;
            at += sizeof *event + event->len;
        }
    }
    return opened;
}

/* Writes the bytes of the drop-in to its draft again, as Node does: Falco must be able to read it. */
static int write_draft(struct publication *it)
{
    unlink(it->draft);
    int to = open(it->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return fail("make", it->draft, errno);
    int done = write_all(to, it->bytes, it->length) && fchmod(to, 0644) == 0;
    if (!done)
        fail("write", it->draft, errno);
    if (close(to) != 0 && done)
        done = fail("write", it->draft, errno);
    return done;
}

/*
 * Renames the same bytes over the drop-in: another file, so that Falco hears of it. The watches on the ones before
 * stay: who has opened one of those has read the same. Returns 0, having said why, when it cannot.
 */
static int rename_again(struct publication *it)
{
    if (write_draft(it)) {
        watch_opening(it, it->draft);
        if (rename_draft(it))
            return 1;
        fail("rename the list again to", it->path, errno);
    }
    unlink(it->draft);
    return 0;
}

static void say_unread(const struct publication *it)
{
    fprintf(stderr, "falco-federation: Falco %s it for %lld s; published again (%d of %d)",
            it->inotify < 0 ? "may not have read" : "has not read", (long long)(now_ms() - it->since) / 1000, it->times,
            most_times(it));
    if (it->times < most_times(it))
        fprintf(stderr, ", next in %lld s", (long long)pause_of(it) / 1000);
    fputc('\n', stderr);
}

/* From here on only an opening is waited for, which costs nothing. */
static void give_up(struct publication *it)
{
    it->due = 0;
    if (it->inotify >= 0) {
        fprintf(stderr, "falco-federation: giving up; Falco is not running or does not watch its files "
                        "(watch_config_files), and reads the list when it starts\n");
        return;
    }
    set_mark(it, 0);
    fprintf(stderr, "falco-federation: not published again; a Falco that has not read it yet does when it starts\n");
    forget(it);
}

void attend(struct publication *it)
{
    if (it->path == NULL)
        return;
    if (is_opened(it)) {
        set_mark(it, 0);
        fprintf(stderr, "falco-federation: Falco read it after %lld s\n",
                (long long)(now_ms() - it->since) / 1000);
        forget(it);
        return;
    }
    if (it->due == 0 || now_ms() < it->due)
        return;
    if (!is_in_force(it)) {
        give_way(it);
        return;
    }
    if (it->times >= most_times(it)) {
        give_up(it);
        return;
    }
    it->times++;
    it->due = now_ms() + pause_of(it);
    if (rename_again(it))
        say_unread(it);
}
