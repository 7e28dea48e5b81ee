#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FLAGS = 5 };

/*
 * V8's flags by command, so that Node is small from its very start: what has grown stays (docs/performance.md). Forwarder
 * and receiver do little for an event, and do it as well without an optimizer. The webhook needs the first one to read the
 * lists of its pods, tag-rules for long rules: with short ones it is to end before that would begin.
 */
#define SMALL { "--no-opt", "--no-maglev", "--optimize-for-size", "--max-semi-space-size=2" }
static const struct {
    const char *command;
    const char *flags[MOST_FLAGS];
} commands[] = {
    { "serve", { "--no-opt", "--optimize-for-size", "--max-semi-space-size=2" } },
    { "forward", SMALL },
    { "receive", SMALL },
    { "tag-rules",
      { "--no-opt", "--invocation-count-for-maglev=4000", "--invocation-count-for-maglev-osr=4000", "--optimize-for-size",
        "--max-semi-space-size=2" } },
};

int run_node(char **argv)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    const char **args = calloc(count + MOST_FLAGS + 2, sizeof *args);
    if (args == NULL) {
        perror("falco-federation: memory");
        return COULD_NOT;
    }
    size_t next = 0;
    args[next++] = NODE;
    for (size_t at = 0; at < sizeof commands / sizeof *commands; at++)
        if (count > 1 && strcmp(argv[1], commands[at].command) == 0)
            for (size_t flag = 0; flag < MOST_FLAGS && commands[at].flags[flag] != NULL; flag++)
                args[next++] = commands[at].flags[flag];
    args[next++] = PROGRAM;
    for (size_t at = 1; at < count; at++)
        args[next++] = argv[at];
    /* The C library's memory: one arena, as one thread is busy, and what is freed goes back. A user's own values stay. */
    setenv("MALLOC_ARENA_MAX", "1", 0);
    setenv("MALLOC_MMAP_THRESHOLD_", "32768", 0);
    setenv("MALLOC_TRIM_THRESHOLD_", "32768", 0);
    /* Safe: it changes none of them. */
    execv(NODE, (char *const *)args);
    fprintf(stderr, "falco-federation: cannot start %s: %s\n", NODE, strerror(errno));
    return COULD_NOT;
}
