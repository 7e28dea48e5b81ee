/*
 * ship-alerts: what Falco writes into a file goes to the forwarder, for as long as the pod lives.
 *
 * Two threads: one looks after the file (ship.c, ship-file.c), the other one talks to the forwarder (ship-http.c), so
 * that nothing that a network does can keep the file from being looked after. They share one batch, which belongs to
 * one of them at a time.
 */
#ifndef SHIP_H
#define SHIP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Tests build with others. Times in milliseconds. */
#ifndef BATCH_BYTES
#define BATCH_BYTES (256 << 10)
#endif
#ifndef MOST_LINES
#define MOST_LINES 500
#endif
/* The forwarder takes lines of a mebibyte, with the envelope. */
#ifndef LONGEST_LINE
#define LONGEST_LINE ((1 << 20) - 256)
#endif
/* Connecting to one address. */
#ifndef CONNECT_TIME
#define CONNECT_TIME 3000
#endif
/* Connecting, sending and the answer, together. */
#ifndef POST_TIME
#define POST_TIME 15000
#endif

/* Events on one line at the most: more than one only where a line break is missing. */
enum { MOST_EVENTS_A_LINE = 8 };

/* Room in front of a batch for the request's head. */
enum { HEAD_ROOM = 512 };

/* What is put behind a folder's path is shorter than the rest. */
enum { LONGEST_FOLDER = 4000 };

/* Why there are no more characters of a reason: it is for a log line. */
enum { REASON_SIZE = 200 };

/* Where alerts go. */
struct target {
    char host[256];
    char port[6];
};

/* The file that Falco writes (ship-file.c says how it is used). */
struct source {
    const char *folder;
    /* Below 0: there is none at the moment. */
    int fd;
    /* It has made way: Falco writes another one by now. */
    int is_old;
    int may_write;
    /* Names the file in the keys of its events. */
    char id[17];
    ino_t inode;
    /* Up to where it is done with, up to where its room was given back, and its end when it was last looked at. */
    off_t at;
    off_t freed;
    off_t size;
    /* By now_ms: when it was last seen to be longer than before. */
    int64_t grown;
    /* What was last said to be wrong, so that it is said once. */
    int told;
};

/* What is posted: envelopes, one a line. */
struct batch {
    char *text;
    size_t length;
    unsigned events;
    /* Lines of the file that they are from; what of these was no event. */
    unsigned lines;
    unsigned unreadable;
    /* Up to where the file is done with when the forwarder has them, or when there was nothing for it. */
    off_t end;
    /* The inode of the file. */
    ino_t of;
};

/* What became of a batch. */
struct outcome {
    enum { NOT_TAKEN, TAKEN, TOO_LARGE } is;
    unsigned accepted, duplicates, refused;
    /* Seconds that the forwarder asks to wait; 0: it did not. */
    int wait;
    /* Why it was not taken, or why the first of the events that were refused was. */
    char reason[REASON_SIZE];
};

struct connection {
    int fd;
    int64_t since;
    int64_t deadline;
    const char *wrong;
    size_t next, have;
    char in[4096];
    /* A batch of 500 events, each refused, takes less. */
    char body[128 << 10];
};

/* Makes what is missing in the folder and opens the file. Returns 0, having said why once, when it cannot. */
int open_source(struct source *source);

/* Looks at the file again; opens it where it is another one by now. Returns 0 when there is none. */
int look_at(struct source *source);

/* Done with it up to there: its room is given back. */
void pass(struct source *source, off_t to);

/* Gives back the room of the oldest events while the volume is three quarters full. Returns how many lines went. */
unsigned make_room(struct source *source);

/* When all that is there was passed: ends a line that was cut, goes on from a file that made way to the next. Returns 1
   when there may be more now, or will be soon. */
int come_to_the_end(struct source *source);

/* 16 random hexadecimal digits and a NUL. */
void make_id(char id[17]);

/* Fills the batch with the next lines, at most so many. */
void fill(struct batch *batch, const struct source *source, unsigned most_lines);

/* Whether it is of the form http://HOST[:PORT][/]; if so, its parts. */
int parse_target(const char *address, struct target *target);

/* Posts the batch and waits for the answer. The text must have HEAD_ROOM bytes in front of it. */
struct outcome post(struct connection *connection, const struct target *target, const struct batch *batch);

/* `ship-alerts …`: argv is what follows the command's name. Returns an exit status. */
int ship(char **argv);

#endif
