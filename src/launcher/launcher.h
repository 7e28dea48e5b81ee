/*
 * The image's entry point: a small program that starts Node where there is work for it, and is all that stays in
 * memory where there is none. It is linked statically, so that it also runs in images that have nothing else in them.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Where the image has them; tests build with others. */
#ifndef NODE
#define NODE "/usr/bin/node"
#endif
#ifndef PROGRAM
#define PROGRAM "/usr/lib/falco-federation/falco-federation.mjs"
#endif

/* Exit statuses, as in src/commands/command.ts. */
enum { DONE = 0, COULD_NOT = 1, WRONG_USE = 2 };

/* Why tag-rules is started again; its words are in src/rules/publishing/follow-step.ts. */
enum woken { STARTED, CHANGED, STILL, STOPPED };

/* A drop-in that is in force, and that Falco is to read. */
struct publication {
    /* NULL: nothing is waited for. */
    char *path;
    /* Where it is written again before it is renamed. */
    char *draft;
    char *bytes;
    size_t length;
    /* The file in force, as it was when it was renamed: inodes are used again. */
    ino_t inode;
    struct timespec changed;
    /* Tells who opens it; below 0: nobody does. */
    int inotify;
    /* How often it was renamed again. */
    int times;
    /* By now_ms: when it was published, and when it is to be renamed again; 0: not any more. */
    int64_t since;
    int64_t due;
};

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
    /* What Node has left to be renamed to the drop-in's path; empty: nothing. */
    const char *draft;
    const char *drop_in;
    /* Milliseconds after which to go on although nothing has changed; 0: never. */
    int within;
};

/* Becomes Node, with the arguments behind argv[0]. Returns only when that fails, with an exit status. */
int run_node(char **argv);

/* Where an argument stands among tag-rules' own, which end at `--`; NULL where it does not, or this is another command. */
char **own_argument(char **argv, const char *name);

/* Whether these are the arguments of `tag-rules --on-failure ignore`. */
int is_harmless(char **argv);

/* Runs Node, and is DONE whatever becomes of it. */
int run_harmlessly(char **argv);

/* Whether these are the arguments of `tag-rules --follow`. */
int is_following(char **argv);

/* Runs tag-rules after each change until asked to stop. Returns an exit status. */
int follow(char **argv);

/* Sleeps until something in the list differs from its signature and has come to rest, or the time is up, or a
   signal can be read from signal_fd. Attends to the publication meanwhile. */
enum woken wait_for_change(const struct watch_list *list, struct publication *publication, int signal_fd);

/* Renames the draft to the path, and waits from now on for somebody to open it. Returns 0, having said why, when it
   cannot: what was in force is in force still. */
int put_in_force(struct publication *publication, const char *draft, const char *path);

/* Looks whether it was opened, and renames it again when that is due. */
void attend(struct publication *publication);

/* While Node works nobody can tell who opens the drop-in: Node does, too. */
void stop_looking(struct publication *publication);
void look_again(struct publication *publication);

/* Waits for it no more, and frees what is kept of it. */
void forget(struct publication *publication);

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);

/* Says what could not be done with a path, and is 0, for "no". */
int fail(const char *what, const char *path, int error);

/* Writes all of it. Returns 0 when it cannot; errno says why. */
int write_all(int to, const char *bytes, size_t length);

/* `copy FROM TO` and `place FOLDER`: argv is what follows the command's name. They return an exit status. */
int copy(char **argv);
int place(char **argv);

#endif
