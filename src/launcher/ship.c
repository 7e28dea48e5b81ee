/*
 * `ship-alerts`: looks after the file, hands batches to the thread that posts them, and says what happens.
 */
#include "ship.h"
#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tests build with others. Times in milliseconds. */

/* For how long alerts are gathered: they seldom come alone, and each look and each request costs. */
#ifndef GATHER
#define GATHER 100
#endif
/* Between looks without an event, and where there are no events to be had. */
#ifndef LOOK_EVERY
#define LOOK_EVERY 60000
#endif
#ifndef LOOK_EVERY_WITHOUT_EVENTS
#define LOOK_EVERY_WITHOUT_EVENTS 500
#endif
/* Between tries where there is no file to be had, and between looks at one that is about to end. */
#ifndef AGAIN
#define AGAIN 1000
#endif
#ifndef FIRST_PAUSE_OF_POSTS
#define FIRST_PAUSE_OF_POSTS 250
#endif
#ifndef LONGEST_PAUSE
#define LONGEST_PAUSE 15000
#endif
/* What the forwarder may ask us to wait at the most. */
#ifndef LONGEST_WAIT
#define LONGEST_WAIT 60000
#endif
/* How long the file must have been quiet before we end. */
#ifndef QUIET
#define QUIET 1000
#endif
/* How often the counts are said, and how often the same trouble. */
#ifndef SAY_EVERY
#define SAY_EVERY 600000
#endif

struct counts {
    unsigned long accepted, duplicates, refused, unreadable, dropped;
};

struct shipping {
    struct source source;
    struct target target;
    int has_target;
    struct batch batch;
    struct connection connection;
    struct outcome outcome;
    sem_t go;
    int answered;
    /* The batch is the other thread's. */
    int is_posting;
    unsigned most_lines;
    int inotify;
    int is_watching;
    /* By now_ms: the last look at the file, the next one, and the next post at the soonest. */
    int64_t looked, next_look, next_post;
    /* What is written is not looked at before the next look. */
    int is_gathering;
    int pause;
    /* By now_ms: since when nothing was taken, and when that was said; 0: it was. */
    int64_t stuck_since, stuck_said;
    int64_t dropped_said;
    int64_t refused_said;
    int64_t counts_said;
    struct counts counts, said;
    /* By now_ms: when to end at the latest; 0: nobody has asked for it. */
    int64_t end;
    int64_t grace;
};

static const char usage[] =
    "Usage: falco-federation ship-alerts --folder DIR --to http://HOST[:PORT] [--grace SECONDS]\n"
    "\n"
    "Delivers what Falco writes to DIR/live/alerts.jsonl (file_output) to the forwarder, for as long as it runs.\n"
    "  --folder DIR      a volume of its own; when three quarters of it are taken, the oldest alerts are dropped\n"
    "  --to URL          the forwarder\n"
    "  --grace SECONDS   how long to go on after SIGTERM while alerts are left to deliver (25)\n";

static void *post_batches(void *context)
{
    struct shipping *it = context;
    const uint64_t one = 1;
    for (;;) {
        while (sem_wait(&it->go) != 0)
            ;
        it->outcome = post(&it->connection, &it->target, &it->batch);
        if (write(it->answered, &one, sizeof one) != sizeof one)
            return NULL;
    }
}

static void say_counts(struct shipping *it, int64_t now)
{
    const struct counts *is = &it->counts;
    if (memcmp(is, &it->said, sizeof *is) != 0)
        fprintf(stderr,
                "falco-federation: alerts so far: %lu delivered, %lu of them sent twice, %lu refused by the forwarder, "
                "%lu cut off or not JSON, %lu dropped for want of room\n",
                is->accepted + is->duplicates, is->duplicates, is->refused, is->unreadable, is->dropped);
    it->said = *is;
    it->counts_said = now;
}

/* Half of the pause and a random part of the other half: senders that fail together are not to come back together. */
static int64_t jittered(int pause)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (uint32_t)now_ms();
    return pause / 2 + (int64_t)(random % (unsigned)(pause / 2 + 1));
}

static void not_taken(struct shipping *it, int64_t now)
{
    int64_t wait = it->outcome.wait > 0 && it->outcome.wait < LONGEST_WAIT / 1000 ? it->outcome.wait * 1000 : 0;
    it->pause = it->pause == 0 ? FIRST_PAUSE_OF_POSTS : it->pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : it->pause * 2;
    /* On its way out it has no time to wait. */
    int64_t pause = jittered(it->end > 0 && it->pause > AGAIN ? AGAIN : it->pause);
    it->next_post = now + (wait > pause && it->end == 0 ? wait : pause);
    if (it->stuck_since == 0)
        it->stuck_since = now;
    if (it->stuck_said == 0 || now - it->stuck_said >= SAY_EVERY)
        fprintf(stderr, "falco-federation: the forwarder at %s:%s does not take alerts: %s; they are kept, retrying\n",
                it->target.host, it->target.port, it->outcome.reason),
            it->stuck_said = now;
}

/* Once in a while: the forwarder's metrics count each reason. */
static void say_refused(struct shipping *it, int64_t now, const char *why)
{
    if (it->refused_said > 0 && now - it->refused_said < SAY_EVERY)
        return;
    it->refused_said = now;
    fprintf(stderr, "falco-federation: the forwarder refuses alerts, which are not sent again: %s\n", why);
}

static void taken(struct shipping *it, int64_t now)
{
    const struct outcome *is = &it->outcome;
    if (it->stuck_since > 0)
        fprintf(stderr, "falco-federation: the forwarder takes alerts again, after %lld s\n",
                (long long)(now - it->stuck_since + 500) / 1000);
    it->stuck_since = it->stuck_said = 0;
    it->pause = 0;
    it->next_post = now;
    it->counts.accepted += is->accepted;
    it->counts.duplicates += is->duplicates;
    it->counts.refused += is->refused;
    if (is->refused > 0)
        say_refused(it, now, is->reason);
    it->most_lines = it->most_lines * 2 > MOST_LINES ? MOST_LINES : it->most_lines * 2;
}

/* Done with a batch. It may have been dropped meanwhile: then it was counted as that, too. */
static void pass_batch(struct shipping *it)
{
    it->counts.unreadable += it->batch.unreadable;
    /* Or the file is another one by now. */
    if (it->source.fd < 0 || it->batch.of != it->source.inode)
        return;
    if (it->batch.end > it->source.at)
        pass(&it->source, it->batch.end);
}

static void settle(struct shipping *it, int64_t now)
{
    it->is_posting = 0;
    switch (it->outcome.is) {
    case TAKEN:
        taken(it, now);
        pass_batch(it);
        break;
    case TOO_LARGE:
        if (it->batch.lines > 1) {
            it->most_lines = it->batch.lines / 2;
            break;
        }
        say_refused(it, now, "one is too large");
        it->counts.refused++;
        pass_batch(it);
        break;
    case NOT_TAKEN:
        not_taken(it, now);
    }
}

static int64_t sooner(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Sends what there is, if it is time for that. */
static void post_next(struct shipping *it, int64_t now)
{
    while (!it->is_posting && it->has_target && now >= it->next_post && it->source.fd >= 0) {
        fill(&it->batch, &it->source, it->most_lines);
        if (it->batch.lines == 0) {
            if (come_to_the_end(&it->source))
                it->next_look = sooner(it->next_look, now + AGAIN);
            return;
        }
        if (it->batch.events > 0) {
            it->is_posting = 1;
            sem_post(&it->go);
        } else
            pass_batch(it);
    }
}

static void say_polling(void)
{
    static int told = 0;
    if (!told++)
        fprintf(stderr, "falco-federation: inotify unavailable (%s); polling every %d ms\n", strerror(errno),
                LOOK_EVERY_WITHOUT_EVENTS);
}

static void watch(struct shipping *it)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/live", it->source.folder);
    uint32_t events = IN_MODIFY | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR;
    it->is_watching = it->inotify >= 0 && inotify_add_watch(it->inotify, path, events) >= 0;
    if (!it->is_watching)
        say_polling();
}

/* Looks at the file, and makes room: whatever the network does. */
static void look(struct shipping *it, int64_t now)
{
    char events[4096];
    while (it->inotify >= 0 && read(it->inotify, events, sizeof events) > 0)
        ;
    it->looked = now;
    it->is_gathering = 0;
    if (!look_at(&it->source)) {
        it->next_look = now + AGAIN;
        return;
    }
    /* Each time: the folder may be another one, and a watch that is there stays as it is. */
    watch(it);
    it->next_look = now + (it->is_watching ? LOOK_EVERY : LOOK_EVERY_WITHOUT_EVENTS);
    unsigned dropped = make_room(&it->source);
    it->counts.dropped += dropped;
    if (dropped > 0 && (it->dropped_said == 0 || now - it->dropped_said >= SAY_EVERY / 10)) {
        fprintf(stderr, "falco-federation: %s is three quarters full: dropped the oldest alerts (%lu so far)\n",
                it->source.folder, it->counts.dropped);
        it->dropped_said = now;
    }
}

static int is_done(const struct shipping *it, int64_t now)
{
    const struct source *source = &it->source;
    if (it->end == 0)
        return 0;
    return now >= it->end || source->fd < 0 || !it->has_target ||
           (source->at >= source->size && !source->is_old && !it->is_posting && now - source->grown >= QUIET);
}

/* Sleeps until there is something to do. */
static void sleep_until_needed(struct shipping *it, int signal_fd)
{
    uint64_t times;
    struct signalfd_siginfo asked;
    int64_t until = it->next_look;
    if (!it->is_posting && it->has_target && it->source.at < it->source.size && it->next_post > now_ms())
        until = sooner(until, it->next_post);
    if (it->end > 0)
        until = sooner(until, sooner(it->end, now_ms() + QUIET / 4));
    int64_t left = until - now_ms();
    /* poll leaves out descriptors below 0. */
    struct pollfd ready[] = { { signal_fd, POLLIN, 0 },
                              { it->answered, POLLIN, 0 },
                              { it->is_gathering ? -1 : it->inotify, POLLIN, 0 } };
    if (poll(ready, 3, left < 0 ? 0 : (int)left) <= 0)
        return;
    int64_t now = now_ms();
    if (ready[0].revents != 0 && read(signal_fd, &asked, sizeof asked) > 0 && it->end == 0) {
        it->end = now + it->grace;
        it->next_look = it->next_post = now;
    }
    if (ready[1].revents != 0 && read(it->answered, &times, sizeof times) > 0)
        settle(it, now);
    if (ready[2].revents != 0) {
        /* At once when it was quiet; then what comes is gathered. */
        it->is_gathering = 1;
        it->next_look = sooner(it->next_look, it->looked + GATHER);
    }
}

static int run(struct shipping *it, int signal_fd)
{
    while (!is_done(it, now_ms())) {
        int64_t now = now_ms();
        if (now >= it->next_look)
            look(it, now);
        post_next(it, now);
        if (now - it->counts_said >= SAY_EVERY)
            say_counts(it, now);
        sleep_until_needed(it, signal_fd);
    }
    say_counts(it, now_ms());
    if (it->source.fd >= 0 && it->source.at < it->source.size)
        fprintf(stderr, "falco-federation: ended with %lld bytes of alerts not delivered\n",
                (long long)(it->source.size - it->source.at));
    return DONE;
}

static int begin(struct shipping *it, const sigset_t *signals)
{
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    /* Falco may be another user. */
    umask(0);
    size_t room = HEAD_ROOM + BATCH_BYTES + LONGEST_LINE + (MOST_LINES + MOST_EVENTS_A_LINE) * 128;
    char *text = malloc(room);
    int signal_fd = signalfd(-1, signals, SFD_CLOEXEC);
    it->answered = eventfd(0, EFD_CLOEXEC);
    it->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (it->inotify < 0)
        say_polling();
    if (text == NULL || signal_fd < 0 || it->answered < 0 || sem_init(&it->go, 0, 0) != 0 ||
        pthread_create(&thread, NULL, post_batches, it) != 0) {
        perror("falco-federation: cannot start");
        return COULD_NOT;
    }
    it->batch.text = text + HEAD_ROOM;
    it->counts_said = now_ms();
    return run(it, signal_fd);
}

static int wrong_use(const char *what, const char *which)
{
    fprintf(stderr, "falco-federation ship-alerts: %s%s\n\n%s", what, which, usage);
    return WRONG_USE;
}

int ship(char **argv)
{
    static struct shipping it = { .source.fd = -1, .connection.fd = -1, .most_lines = MOST_LINES, .grace = 25000 };
    const char *to = NULL;
    for (; *argv != NULL; argv += 2) {
        if (strcmp(*argv, "--help") == 0)
            return fputs(usage, stdout), DONE;
        if (strncmp(*argv, "--", 2) != 0 || argv[1] == NULL)
            return wrong_use("a flag and its value are needed at ", *argv);
        if (strcmp(*argv, "--folder") == 0)
            it.source.folder = argv[1];
        else if (strcmp(*argv, "--to") == 0)
            to = argv[1];
        else if (strcmp(*argv, "--grace") == 0 && strspn(argv[1], "0123456789") == strlen(argv[1]) && atoi(argv[1]) > 0)
            it.grace = atoi(argv[1]) * 1000LL;
        else
            return wrong_use("unknown flag or invalid value: ", *argv);
    }
    if (it.source.folder == NULL || to == NULL || strlen(it.source.folder) > LONGEST_FOLDER)
        return wrong_use(it.source.folder == NULL || to == NULL ? "--folder and --to are required" : "too long: --folder", "");
    it.has_target = parse_target(to, &it.target);
    /* Before it says that it ships: who hears that may ask it to stop. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (it.has_target)
        fprintf(stderr, "falco-federation: shipping alerts from %s/live/alerts.jsonl to %s\n", it.source.folder, to);
    else
        /* Ending here would end again and again, and the pod would not be ready because of us. */
        fprintf(stderr,
                "falco-federation: --to %s is not of the form http://HOST[:PORT]: alerts are not delivered, and the "
                "oldest are dropped when %s is full\n",
                to, it.source.folder);
    return begin(&it, &signals);
}
