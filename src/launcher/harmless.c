/*
 * `tag-rules --on-failure ignore`: an init container, without whose success Falco does not start. Whatever becomes of Node
 * (it is killed, there is not enough memory for it, this processor or kernel is not one for it), this program ends well.
 */
#include "launcher.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TERMINATION_MESSAGE
#define TERMINATION_MESSAGE "/dev/termination-log"
#endif

int is_harmless(char **argv)
{
    char **flag = own_argument(argv, "--on-failure");
    return flag != NULL && flag[1] != NULL && strcmp(flag[1], "ignore") == 0;
}

/* To the log, and to where `check` reads it: what Node leaves there by itself (src/coverage/tagging-report.ts). */
static void tell(const char *how, int number)
{
    fprintf(stderr, "falco-federation: tag-rules %s %d; Falco starts with its own rules\n", how, number);
    FILE *message = fopen(TERMINATION_MESSAGE, "w");
    if (message == NULL)
        return;
    fprintf(message, "{\"code\":\"rules_tagging_failed\",\"detail\":\"%s %d\"}", how, number);
    fclose(message);
}

int run_harmlessly(char **argv)
{
    sigset_t signals;
    int signal = 0;
    int status = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &signals, NULL);
        _exit(run_node(argv));
    }
    if (child < 0) {
        perror("falco-federation: fork; Falco starts with its own rules");
        return DONE;
    }
    while (waitpid(child, &status, WNOHANG) == 0)
        if (sigwait(&signals, &signal) == 0 && signal != SIGCHLD)
            kill(child, signal);
    if (WIFSIGNALED(status))
        tell("was killed by signal", WTERMSIG(status));
    else if (status != 0)
        tell("failed with exit status", WEXITSTATUS(status));
    return DONE;
}
