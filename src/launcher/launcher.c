#include "launcher.h"

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
    perror("falco-federation: cannot start " NODE);
    return COULD_NOT;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "copy") == 0)
        return copy(argv + 2);
    if (argc > 1 && strcmp(argv[1], "place") == 0)
        return place(argv + 2);
    if (argc > 1 && is_following(argv))
        return follow(argv);
    return run_node(argv);
}
