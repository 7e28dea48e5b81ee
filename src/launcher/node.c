#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int run_node(char **argv)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    char **args = calloc(count + 2, sizeof *args);
    if (args == NULL) {
        perror("falco-federation: memory");
        return COULD_NOT;
    }
    args[0] = NODE;
    args[1] = PROGRAM;
    for (size_t at = 1; at < count; at++)
        args[at + 1] = argv[at];
    execv(NODE, args);
    fprintf(stderr, "falco-federation: cannot start %s: %s\n", NODE, strerror(errno));
    return COULD_NOT;
}
