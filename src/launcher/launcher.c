#include "launcher.h"
#include "ship.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "copy") == 0)
        return copy(argv + 2);
    if (argc > 1 && strcmp(argv[1], "place") == 0)
        return place(argv + 2);
    if (argc > 1 && strcmp(argv[1], "ship-alerts") == 0)
        return ship(argv + 2);
    if (argc > 1 && is_following(argv))
        return follow(argv);
    if (argc > 1 && is_harmless(argv))
        return run_harmlessly(argv);
    return run_node(argv);
}
