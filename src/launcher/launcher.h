/*
 * The image's entry point: a small program that starts Node where there is work for it, and is all that stays in
 * memory where there is none. It is linked statically, so that it also runs in images that have nothing else in them.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stddef.h>

/* Where the image has them; tests build with others. */
#ifndef NODE
#define NODE "/usr/bin/node"
#endif
#ifndef PROGRAM
#define PROGRAM "/usr/lib/falco-federation/falco-federation.mjs"
#endif

/* Exit statuses, as in src/commands/command.ts. */
enum { DONE = 0, COULD_NOT = 1, WRONG_USE = 2 };

/* Why tag-rules is started again; its words are in src/rules/publishing/follow.ts. */
enum woken { STARTED, CHANGED, STILL, STOPPED };

/* What is watched: paths, each with the signature that it had when the rules were read (signatureOf in
   src/rules/configuration/file-system.ts). */
struct watched {
    const char *path;
    const char *signature;
};

struct watch_list {
    /* The bytes that the pointers below lead into. */
    char *text;
    struct watched *items;
    size_t count;
    /* Milliseconds after which to go on although nothing has changed; 0: never. */
    int within;
};

/* Becomes Node, with the arguments behind argv[0]. Returns only when that fails, with an exit status. */
int run_node(char **argv);

/* Whether these are the arguments of `tag-rules --follow`. */
int is_following(char **argv);

/* Runs tag-rules after each change until asked to stop. Returns an exit status. */
int follow(char **argv);

/* Sleeps until something in the list differs from its signature and has come to rest, or the time is up, or a
   signal can be read from signal_fd. */
enum woken wait_for_change(const struct watch_list *list, int signal_fd);

/* `copy FROM TO` and `place FOLDER`: argv is what follows the command's name. They return an exit status. */
int copy(char **argv);
int place(char **argv);

#endif
