/*
 * Copying rules out of Falco's own image: `place` puts this program where an init container with that image finds it,
 * and `copy`, which runs there, copies the image's folder. So the image needs no program of its own.
 */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes, files and depth at the most: the volume has a size limit, over which the pod is evicted (FACTS 4.10). */
static const uint64_t most_bytes = 16 << 20;
static const unsigned most_files = 10000;
static const unsigned most_depth = 16;

struct copying {
    uint64_t bytes;
    unsigned files;
};

/* A folder that is being copied, and the one that it is in. */
struct within {
    const struct within *outer;
    dev_t device;
    ino_t inode;
    unsigned depth;
};

int fail(const char *what, const char *path, int error)
{
    fprintf(stderr, "falco-federation: cannot %s %s: %s\n", what, path, strerror(error));
    return 0;
}

int write_all(int to, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(to, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return 0;
        bytes += written;
        length -= (size_t)written;
    }
    return 1;
}

/* Copies what is left to read of one file. Returns 0, having said why, when it cannot. */
static int copy_bytes(int from, int to, const char *path, struct copying *so_far)
{
    char buffer[16384];
    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got == 0)
            return 1;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail("read", path, errno);
        so_far->bytes += (uint64_t)got;
        if (so_far->bytes > most_bytes)
            return fail("copy", path, EFBIG);
        if (!write_all(to, buffer, (size_t)got))
            return fail("copy", path, errno);
    }
}

/*
 * Copies one regular file, opened here and closed by the caller when `from` is not below 0. One that may not be read
 * becomes one that may not be read either: whoever reads the copy then knows that there is more than it sees.
 */
static int copy_file(int from, const char *path, const char *copy_path, mode_t mode, struct copying *so_far)
{
    int to = open(copy_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return fail("make", copy_path, errno);
    int done = from < 0 || copy_bytes(from, to, path, so_far);
    if (done && fchmod(to, from < 0 ? 0 : mode) != 0)
        done = fail("make readable", copy_path, errno);
    if (close(to) != 0 && done)
        done = fail("write", copy_path, errno);
    return done;
}

static int copy_folder(int from, const char *path, const char *copy_path, const struct within *within,
                       struct copying *so_far);

/* Whether a link leads back to a folder that is being copied. */
static int is_loop(const struct within *within, const struct stat *found)
{
    while (within != NULL && (within->device != found->st_dev || within->inode != found->st_ino))
        within = within->outer;
    return within != NULL;
}

/* Copies a file or folder by name, links followed. What is neither, or leads nowhere, is left out, as by Falco. */
static int copy_entry(int folder, const char *name, const char *path, const char *copy_path,
                      const struct within *within, struct copying *so_far)
{
    struct stat found;
    if (fstatat(folder, name, &found, 0) != 0)
        return errno == EACCES ? copy_file(-1, path, copy_path, 0, so_far) : 1;
    if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode))
        return 1;
    if (is_loop(within, &found)) {
        fprintf(stderr, "falco-federation: %s leads back to a folder that it is in; left out\n", path);
        return 1;
    }
    if (++so_far->files > most_files)
        return fail("copy", path, EMFILE);
    int from = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (from < 0 && errno != EACCES)
        return fail("read", path, errno);
    if (from < 0)
        fprintf(stderr, "falco-federation: may not read %s; its copy is empty, and may not be read either\n", path);
    struct within it = { within, found.st_dev, found.st_ino, within->depth + 1 };
    int done = S_ISDIR(found.st_mode) ? copy_folder(from, path, copy_path, &it, so_far)
                                      : copy_file(from, path, copy_path, 0644, so_far);
    if (from >= 0)
        close(from);
    return done;
}

/* Copies what is in an open folder; one that may not be read becomes such a one. */
static int copy_folder(int from, const char *path, const char *copy_path, const struct within *within,
                       struct copying *so_far)
{
    if (within->depth > most_depth)
        return fail("copy", path, ELOOP);
    if (mkdir(copy_path, 0700) != 0)
        return fail("make", copy_path, errno);
    int done = 1;
    if (from >= 0) {
        int own = dup(from);
        DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (folder == NULL)
            return fail("read", path, errno);
        struct dirent *entry;
        while (done && (errno = 0, entry = readdir(folder)) != NULL) {
            char below[PATH_MAX];
            char copy_below[PATH_MAX];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            int length = snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            int copy_length = snprintf(copy_below, sizeof copy_below, "%s/%s", copy_path, entry->d_name);
            done = length < PATH_MAX && copy_length < PATH_MAX
                       ? copy_entry(from, entry->d_name, below, copy_below, within, so_far)
                       : fail("copy", path, ENAMETOOLONG);
        }
        if (done && errno != 0)
            done = fail("read", path, errno);
        closedir(folder);
    }
    /* Not through the umask: whoever tags the rules must see them. */
    if (done && chmod(copy_path, from < 0 ? 0 : 0755) != 0)
        done = fail("make readable", copy_path, errno);
    return done;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *walk)
{
    (void)found, (void)kind, (void)walk;
    return remove(path);
}

/* Removes a file or a folder with all that is in it; nothing there is fine. */
static int remove_all(const char *path)
{
    return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

/* Copies a folder whole or not at all. Returns 0, having said why, when it cannot. */
static int copy_whole(const char *from, const char *to)
{
    char unfinished[PATH_MAX];
    if (snprintf(unfinished, sizeof unfinished, "%s.unfinished", to) >= PATH_MAX)
        return fail("make", to, ENAMETOOLONG);
    /* What an earlier start of the pod has left. */
    if (!remove_all(unfinished) || !remove_all(to))
        return fail("remove", to, errno);
    struct stat found;
    int folder = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &found) != 0)
        return fail("read", from, errno);
    struct copying so_far = { 0, 0 };
    struct within whole = { NULL, found.st_dev, found.st_ino, 0 };
    int done = copy_folder(folder, from, unfinished, &whole, &so_far);
    close(folder);
    if (done && rename(unfinished, to) != 0)
        done = fail("make", to, errno);
    if (!done)
        remove_all(unfinished);
    else
        printf("copied %u files and folders, %llu bytes, from %s\n", so_far.files,
               (unsigned long long)so_far.bytes, from);
    return done;
}

int copy(char **argv)
{
    if (argv[0] == NULL || argv[1] == NULL || argv[2] != NULL) {
        fputs("Usage: falco-federation copy FROM TO\n", stderr);
        return WRONG_USE;
    }
    if (!copy_whole(argv[0], argv[1]))
        fputs("falco-federation: the rules in Falco's image stay as they are\n", stderr);
    /* Done or not: an init container that fails would keep Falco from starting. */
    return DONE;
}

int place(char **argv)
{
    static const char self[] = "/proc/self/exe";
    char unfinished[PATH_MAX];
    char placed[PATH_MAX];
    if (argv[0] == NULL || argv[1] != NULL) {
        fputs("Usage: falco-federation place FOLDER\n", stderr);
        return WRONG_USE;
    }
    if (snprintf(placed, sizeof placed, "%s/falco-federation", argv[0]) >= PATH_MAX ||
        snprintf(unfinished, sizeof unfinished, "%s/unfinished", argv[0]) >= PATH_MAX)
        return fail("make", argv[0], ENAMETOOLONG), COULD_NOT;
    struct copying so_far = { 0, 0 };
    int from = open(self, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return fail("read", self, errno), COULD_NOT;
    int done = (remove_all(unfinished) || fail("remove", unfinished, errno)) &&
               copy_file(from, self, unfinished, 0755, &so_far);
    close(from);
    if (done && rename(unfinished, placed) != 0)
        done = fail("make", placed, errno);
    /* The next init container is this very file: without it Falco would wait for it in vain, and say less. */
    return done ? DONE : COULD_NOT;
}
