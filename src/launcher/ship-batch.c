/*
 * Lines into envelopes. A line is one event, a JSON object, unless the volume was full: then a line ends in the middle,
 * or misses only its line break, and what Falco writes next stands right behind (FACTS 1.21). What is cut off costs
 * itself only.
 */
#include "ship.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Places at which a whole event is looked for behind a cut one: a cut line holds a few braces. */
static const unsigned most_tries = 16;

/* Behind the string that begins at its quote. NULL: it does not end, or what follows cannot follow a string. */
static const char *behind_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    if (at + 1 >= end || strchr(",:}] \t", at[1]) == NULL || at[1] == '\0')
        return NULL;
    return at + 1;
}

/* Behind the object that begins here, NULL if it does not end. Only looks at what a cut would disturb. */
static const char *behind_object(const char *at, const char *end)
{
    unsigned depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = behind_string(at, end);
            if (at == NULL)
                return NULL;
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

static void add(struct batch *batch, const char *id, off_t offset, const char *event, size_t length)
{
    char *to = batch->text + batch->length;
    to += sprintf(to, "{\"key\":\"%s/%llu\",\"event\":", id, (unsigned long long)offset);
    memcpy(to, event, length);
    to += length;
    *to++ = '}';
    *to++ = '\n';
    batch->length = (size_t)(to - batch->text);
    batch->events++;
}

/* Adds the events of one line, which begins at an offset of the file. */
static void add_line(struct batch *batch, const char *id, off_t offset, const char *line, const char *end)
{
    const char *at = line;
    unsigned tries = 0;
    unsigned events = 0;
    int is_cut = 0;
    while (at < end) {
        if (*at == ' ' || *at == '\t' || *at == '\r') {
            at++;
            continue;
        }
        const char *behind = *at == '{' && events < MOST_EVENTS_A_LINE ? behind_object(at, end) : NULL;
        if (behind != NULL) {
            add(batch, id, offset + (at - line), at, (size_t)(behind - at));
            events++;
            at = behind;
            continue;
        }
        is_cut = 1;
        at = *line != '{' || ++tries > most_tries ? NULL : memmem(at + 1, (size_t)(end - at) - 1, "{\"", 2);
        if (at == NULL)
            break;
    }
    batch->unreadable += is_cut;
}

void fill(struct batch *batch, const struct source *source, unsigned most_lines)
{
    static char raw[LONGEST_LINE];
    batch->length = batch->events = batch->lines = batch->unreadable = 0;
    batch->end = source->at;
    batch->of = source->inode;
    size_t most = BATCH_BYTES < LONGEST_LINE ? BATCH_BYTES : LONGEST_LINE;
    ssize_t got = pread(source->fd, raw, most, source->at);
    if (got == (ssize_t)most && memchr(raw, '\n', most) == NULL)
        got = pread(source->fd, raw, most = LONGEST_LINE, source->at);
    if (got <= 0)
        return;
    const char *line = raw;
    const char *end = raw + got;
    const char *line_end;
    while (batch->lines < most_lines && line < end && (line_end = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        add_line(batch, source->id, batch->end, line, line_end);
        batch->lines++;
        batch->end += line_end + 1 - line;
        line = line_end + 1;
    }
    if (batch->lines == 0 && got == LONGEST_LINE) {
        /* No event is that long. Its rest follows as a line that is no event either. */
        batch->lines = batch->unreadable = 1;
        batch->end += got;
    }
}
