/* In front of each of the launcher's files in a build for tests: what the environment says takes the place of what is
   fixed in the image, so that one build serves all tests. Milliseconds are a tenth of the real ones; those that end a wait for
   another process are long, as a machine may keep that one waiting, but where a test says so. */
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>

static inline int number_for_tests(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : atoi(text);
}

#define NODE getenv("NODE")
#define PROGRAM getenv("PROGRAM")
#define TERMINATION_MESSAGE getenv("TERMINATION_MESSAGE")
#define FIRST_PAUSE number_for_tests("FIRST_PAUSE", 500)
#define MOST_TIMES number_for_tests("MOST_TIMES", 8)
#define FIRST_RETRY number_for_tests("FIRST_RETRY", 100)
#define POLL_EVERY 200
#define REST 100
#define MOMENT 20

/* The shipper's times, and little room (ship.h). */
#define BATCH_BYTES (16 << 10)
#define LONGEST_LINE (64 << 10)
#define MOST_LINES 50
#define CONNECT_TIME number_for_tests("CONNECT_TIME", 30000)
#define POST_TIME number_for_tests("POST_TIME", 30000)
#define AGAIN 100
#define QUIET number_for_tests("QUIET", 200)
#define FIRST_PAUSE_OF_POSTS 20
#define LONGEST_PAUSE 200
#define LOOK_EVERY_WITHOUT_EVENTS 50

/* A node whose watches are all in use. */
#define inotify_init1(flags) (getenv("NO_INOTIFY") == NULL ? (inotify_init1)(flags) : (errno = EMFILE, -1))
