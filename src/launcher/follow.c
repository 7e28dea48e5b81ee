/*
 * Following: `tag-rules --follow` of the image. Node reads and tags the rules, writes down what it has looked at, and
 * ends; this program keeps the list, sleeps until something in it changes, and starts Node again.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where Node writes the list. */
enum { LIST_FD = 3 };

/* A list is some kilobytes; more than this is not one. */
static const size_t largest_list = 4 << 20;

/* Milliseconds until Node is started again when it has failed for the first time; each further pause is twice as long,
   up to the longest: it may be short of memory. */
#ifndef FIRST_RETRY
#define FIRST_RETRY 1000
#endif
enum { LONGEST_RETRY = 30000 };

/* Milliseconds between two looks at a Node that has written its list and is ending. */
enum { ENDING = 50 };

static const char *const words[] = { "start", "changed", "still" };

char **own_argument(char **argv, const char *name)
{
    if (strcmp(argv[1], "tag-rules") != 0)
        return NULL;
    for (char **arg = argv + 2; *arg != NULL && strcmp(*arg, "--") != 0; arg++)
        if (strcmp(*arg, name) == 0)
            return arg;
    return NULL;
}

int is_following(char **argv)
{
    return own_argument(argv, "--follow") != NULL && own_argument(argv, "--help") == NULL;
}

/* In the child: never returns. */
static void become_node(char **argv, enum woken why, int list_fd, const sigset_t *signals)
{
    if (list_fd == LIST_FD)
        fcntl(list_fd, F_SETFD, 0);
    else
        dup2(list_fd, LIST_FD);
    sigprocmask(SIG_UNBLOCK, signals, NULL);
    setenv("FALCO_FEDERATION_WOKEN", words[why], 1);
    _exit(run_node(argv));
}

/* Reads all that comes until the end. Returns 0 when there was too much, or a signal came first. */
static int read_list(int list_fd, int signal_fd, char **text, size_t *length)
{
    size_t room = 0;
    struct pollfd ready[] = { { list_fd, POLLIN, 0 }, { signal_fd, POLLIN, 0 } };
    for (;;) {
        if (*length + 1 >= room) {
            room = room == 0 ? 16384 : room * 2;
            char *larger = room > largest_list ? NULL : realloc(*text, room);
            if (larger == NULL)
                return 0;
            *text = larger;
        }
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            return 0;
        if (ready[1].revents != 0)
            return 0;
        if (ready[0].revents == 0)
            continue;
        ssize_t got = read(list_fd, *text + *length, room - *length - 1);
        if (got <= 0)
            return got == 0;
        *length += (size_t)got;
    }
}

static void free_list(struct watch_list *list)
{
    free(list->text);
    free(list->items);
    *list = (struct watch_list){ 0 };
}

static const char *behind(const char *text)
{
    return text + strlen(text) + 1;
}

/*
 * The list as Node writes it: texts with a NUL behind each. The first is the time in milliseconds, the next two are
 * what is to be renamed and to where, then come pairs of path and signature. Takes over the text. Returns 0 when it is
 * anything else.
 */
static int parse_list(char *text, size_t length, struct watch_list *list)
{
    size_t texts = 0;
    for (size_t at = 0; at < length; at++)
        texts += text[at] == '\0';
    *list = (struct watch_list){ .text = text };
    if (texts < 3 || texts % 2 == 0 || text[length - 1] != '\0')
        return 0;
    list->items = calloc(texts / 2, sizeof *list->items);
    if (list->items == NULL)
        return 0;
    list->count = (texts - 3) / 2;
    list->within = atoi(text);
    list->draft = behind(text);
    list->drop_in = behind(list->draft);
    const char *next = behind(list->drop_in);
    for (size_t at = 0; at < list->count; at++) {
        list->items[at].path = next;
        list->items[at].signature = behind(next);
        next = behind(list->items[at].signature);
    }
    return 1;
}

/* Waits until the child has ended, or a signal can be read. Returns whether it ended. */
static int wait_for_end(pid_t child, int signal_fd, int *status)
{
    struct pollfd ready = { signal_fd, POLLIN, 0 };
    while (waitpid(child, status, WNOHANG) == 0)
        if (poll(&ready, 1, ENDING) > 0)
            return 0;
    return 1;
}

/* Runs tag-rules once. Returns 1 and a new list, or 0 when it failed or a signal came. */
static int tag(char **argv, enum woken why, int signal_fd, const sigset_t *signals, struct watch_list *list)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        perror("falco-federation: pipe");
        return 0;
    }
    pid_t child = fork();
    if (child == 0)
        become_node(argv, why, ends[1], signals);
    close(ends[1]);
    char *text = NULL;
    size_t length = 0;
    int status = -1;
    int whole = child > 0 && read_list(ends[0], signal_fd, &text, &length);
    close(ends[0]);
    if (child < 0)
        perror("falco-federation: fork");
    else if (!whole || !wait_for_end(child, signal_fd, &status)) {
        whole = 0;
        kill(child, SIGTERM);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    }
    struct watch_list found = { 0 };
    if (whole && status == 0 && length > 0 && parse_list(text, length, &found)) {
        free_list(list);
        *list = found;
        return 1;
    }
    if (found.text == NULL)
        free(text);
    free_list(&found);
    return 0;
}

static int is_asked_to_stop(int signal_fd)
{
    struct pollfd ready = { signal_fd, POLLIN, 0 };
    return poll(&ready, 1, 0) > 0;
}

/* What Node has left to be put in force. Returns 0, having said why, when that cannot be done. */
static int finish(const struct watch_list *list, struct publication *publication)
{
    if (list->draft[0] != '\0')
        return put_in_force(publication, list->draft, list->drop_in);
    look_again(publication);
    return 1;
}

int follow(char **argv)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signal_fd < 0) {
        perror("falco-federation: signalfd");
        return COULD_NOT;
    }
    struct watch_list list = { 0 };
    struct watch_list nothing = { .within = FIRST_RETRY };
    struct publication publication = { .inotify = -1 };
    enum woken why = STARTED;
    while (why != STOPPED) {
        attend(&publication);
        stop_looking(&publication);
        if (tag(argv, why, signal_fd, &signals, &list) && finish(&list, &publication)) {
            nothing.within = FIRST_RETRY;
            why = wait_for_change(&list, &publication, signal_fd);
        } else if (is_asked_to_stop(signal_fd))
            why = STOPPED;
        else {
            fprintf(stderr, "falco-federation: tag-rules failed; retrying in %d s\n", nothing.within / 1000);
            /* What was to be done has not been done, so the word for it stays. */
            look_again(&publication);
            why = wait_for_change(&nothing, &publication, signal_fd) == STOPPED ? STOPPED : why;
            nothing.within = nothing.within * 2 < LONGEST_RETRY ? nothing.within * 2 : LONGEST_RETRY;
        }
    }
    free_list(&list);
    forget(&publication);
    return DONE;
}
