/*
 * The file that Falco writes: live/alerts.jsonl in the volume's folder. Falco opens it, appends one line and closes it,
 * for each alert (FACTS 1.21).
 *
 * It stays one file for as long as the pod lives, and what was passed is cut out of its front as a hole: that gives back
 * the room and nothing else changes. So no moment has to be found at which nobody writes, nothing is kept beside the
 * file that could differ from it, and after a kill the end of the hole says where to go on. That needs a file of our
 * own, which is therefore made here, before Falco writes: it begins with a page that holds the id for the keys of its
 * events (id and offset).
 *
 * A file of somebody else's (Falco was first, ours was removed or emptied), or one in which no holes can be made, makes
 * way for one of ours at once, and what is in it is sent as long as we live: nobody opens it any more.
 */
#include "ship.h"
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Milliseconds without a new byte after which a line without an end was cut, and a file that made way is whole: Falco's
   open and write are microseconds apart, but it may be stopped in between for want of processor time. */
#ifndef REST
#define REST 1000
#endif

/* How much goes at once where there is no room. */
#ifndef DROP_BYTES
#define DROP_BYTES BATCH_BYTES
#endif

static const char live[] = "live/alerts.jsonl";
static const char id_begin[] = "{\"falco-federation\":\"";

static const char *path_of(const struct source *source, const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", source->folder, name);
    return path;
}

static void close_source(struct source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

/* Says it once, until something else is wrong. Then there is no file. */
static int fail_once(struct source *source, const char *what, const char *name)
{
    int error = errno;
    if (source->told != error)
        fail(what, path_of(source, name), error);
    source->told = error;
    close_source(source);
    return 0;
}

static off_t page(void)
{
    return sysconf(_SC_PAGESIZE);
}

void make_id(char id[17])
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (uint64_t)now_ms() << 20 ^ (uint64_t)getpid();
    snprintf(id, 17, "%016llx", (unsigned long long)number);
}

/* Makes an empty file of ours: by `link` where there is none, by `rename` in place of another. Returns 0 when it cannot;
   errno is EEXIST when Falco was first. */
static int make_live(const struct source *source, int (*name)(const char *, const char *))
{
    char text[65536];
    char next[PATH_MAX];
    char id[17];
    size_t length = (size_t)page();
    strcpy(next, path_of(source, "next"));
    unlink(next);
    int to = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (to < 0)
        return 0;
    make_id(id);
    /* Pages are of 4 to 64 KiB. */
    snprintf(text, sizeof text, "%s%s\"}%*s", id_begin, id, (int)(length - sizeof id_begin - 17), "");
    text[length - 1] = '\n';
    int done = write_all(to, text, length);
    done = close(to) == 0 && done && name(next, path_of(source, live)) == 0;
    int error = errno;
    unlink(next);
    errno = error;
    return done;
}

/* Reads the id; a file without one is not ours. */
static int read_id(struct source *source)
{
    char text[sizeof id_begin + 16];
    size_t length = sizeof id_begin - 1;
    if (pread(source->fd, text, sizeof text, 0) != sizeof text || memcmp(text, id_begin, length) != 0)
        return 0;
    memcpy(source->id, text + length, 16);
    source->id[16] = '\0';
    return 1;
}

/* Where to begin: behind the hole, and there behind the first line break. The hole ends before that one. */
static off_t begin_of(const struct source *source)
{
    char text[4096];
    off_t at = lseek(source->fd, page(), SEEK_DATA);
    if (at <= page())
        return page();
    for (ssize_t got; (got = pread(source->fd, text, sizeof text, at)) > 0; at += got) {
        const char *line_end = memchr(text, '\n', (size_t)got);
        if (line_end != NULL)
            return at + (line_end - text) + 1;
    }
    return at;
}

/* Returns 0 when it cannot be opened; errno says why. */
static int open_live(struct source *source)
{
    struct stat found;
    const char *path = path_of(source, live);
    close_source(source);
    source->fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    source->may_write = source->fd >= 0;
    if (source->fd < 0)
        source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (source->fd < 0 || fstat(source->fd, &found) != 0)
        return 0;
    source->inode = found.st_ino;
    source->size = 0;
    source->grown = now_ms();
    return 1;
}

/* The file that is open makes way for one of ours, or where there is no room for that, for none. */
static int retire(struct source *source)
{
    source->is_old = 1;
    source->grown = now_ms();
    return make_live(source, rename) || unlink(path_of(source, live)) == 0;
}

int open_source(struct source *source)
{
    close_source(source);
    if (mkdir(source->folder, 0777) != 0 && errno != EEXIST)
        return fail_once(source, "make", "");
    if (mkdir(path_of(source, "live"), 0777) != 0 && errno != EEXIST)
        return fail_once(source, "make", "live");
    source->is_old = 0;
    if (!open_live(source) && ((!make_live(source, link) && errno != EEXIST) || !open_live(source)))
        return fail_once(source, "make", live);
    int is_ours = read_id(source);
    source->at = source->freed = is_ours ? begin_of(source) : 0;
    if (!is_ours)
        make_id(source->id);
    if ((!is_ours || !source->may_write) && !retire(source))
        return fail_once(source, "replace", live);
    source->told = 0;
    return look_at(source);
}

int look_at(struct source *source)
{
    struct stat found = { 0 };
    const char *path = path_of(source, live);
    if (source->fd < 0)
        return open_source(source);
    int is_there = source->is_old ? fstat(source->fd, &found) == 0 : stat(path, &found) == 0;
    if (!is_there || found.st_ino != source->inode || found.st_size < source->at) {
        fprintf(stderr, "falco-federation: %s is another file now, or gone\n", path);
        return open_source(source);
    }
    if (found.st_size > source->size)
        source->grown = now_ms();
    source->size = found.st_size;
    return 1;
}

void pass(struct source *source, off_t to)
{
    /* Not the line break before it: begin_of looks for that. */
    off_t end = (to - 1) / page() * page();
    source->at = to;
    off_t from = source->freed / page() * page();
    if (end <= from)
        return;
    if (source->may_write && fallocate(source->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, end - from) == 0)
        source->freed = end;
    else if (!source->is_old && to - source->freed > DROP_BYTES)
        retire(source);
}

/* Where a line ends, as soon as possible behind the offset, counting lines from where we are. */
static off_t end_of_line(const struct source *source, off_t behind, unsigned *lines)
{
    char text[16384];
    off_t end = source->at;
    ssize_t got;
    for (off_t at = source->at; (got = pread(source->fd, text, sizeof text, at)) > 0; at += got)
        for (ssize_t byte = 0; byte < got; byte++)
            if (text[byte] == '\n') {
                end = at + byte + 1;
                ++*lines;
                if (end >= behind)
                    return end;
            }
    return end;
}

/* A line break of ours is an empty line at worst: appended writes do not mix. */
static void end_line(struct source *source)
{
    char last;
    if (source->may_write && source->size > source->at && pread(source->fd, &last, 1, source->size - 1) == 1 &&
        last != '\n' && write(source->fd, "\n", 1) == 1)
        look_at(source);
}

static uint64_t bytes_of(const struct stat *found)
{
    return (uint64_t)found->st_blocks * 512;
}

/* Whether three quarters of what we can have are taken by what is kept here. */
static int is_full(const struct source *source)
{
    struct stat ours;
    struct stat next;
    struct statvfs volume;
    if (fstat(source->fd, &ours) != 0 || fstatvfs(source->fd, &volume) != 0)
        return 0;
    uint64_t taken = bytes_of(&ours);
    if (source->is_old && stat(path_of(source, live), &next) == 0)
        taken += bytes_of(&next);
    return taken > 3 * (uint64_t)volume.f_bavail * volume.f_frsize;
}

unsigned make_room(struct source *source)
{
    unsigned lines = 0;
    while (is_full(source)) {
        off_t end = end_of_line(source, source->at + DROP_BYTES, &lines);
        if (end > source->at)
            pass(source, end);
        else if (!source->is_old || !open_source(source))
            break;
    }
    return lines;
}

int come_to_the_end(struct source *source)
{
    if (source->at >= source->size && !source->is_old)
        return 0;
    if (now_ms() - source->grown < REST)
        return 1;
    if (!source->is_old) {
        end_line(source);
        return 1;
    }
    off_t size = source->size;
    if (!look_at(source) || source->size > size)
        return 1;
    open_source(source);
    return 1;
}
