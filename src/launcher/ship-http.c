/*
 * One request at a time over a connection that is kept: HTTP/1.1, without a proxy, whatever the environment says.
 * Everything has an end: each wait is one for what is left of the time.
 */
#include "ship.h"
#include "launcher.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Milliseconds after which a connection is made anew, so that senders spread over the forwarders that there are. */
#ifndef LONGEST_CONNECTION
#define LONGEST_CONNECTION 60000
#endif

static const char too_long[] = "its answer is too long";

struct head {
    int status;
    int wait;
    int is_json;
    int is_chunked;
    int is_last;
    /* Below 0: it is not said. */
    long length;
};

int parse_target(const char *address, struct target *target)
{
    static const char scheme[] = "http://";
    if (strncasecmp(address, scheme, sizeof scheme - 1) != 0)
        return 0;
    const char *host = address + sizeof scheme - 1;
    int is_bracketed = *host == '[';
    host += is_bracketed;
    size_t length = strspn(host, is_bracketed ? "0123456789abcdefABCDEF:." : "abcdefghijklmnopqrstuvwxyz"
                                                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    if (length == 0 || length >= sizeof target->host)
        return 0;
    snprintf(target->host, sizeof target->host, "%.*s", (int)length, host);
    const char *rest = host + length;
    if (is_bracketed && *rest++ != ']')
        return 0;
    unsigned long port = 80;
    if (*rest == ':') {
        char *end;
        if (!isdigit((unsigned char)rest[1]))
            return 0;
        port = strtoul(rest + 1, &end, 10);
        rest = end;
    }
    if (port < 1 || port > 65535)
        return 0;
    snprintf(target->port, sizeof target->port, "%lu", port);
    return strcmp(rest, "") == 0 || strcmp(rest, "/") == 0;
}

static int wrong(struct connection *it, const char *why)
{
    it->wrong = why;
    return 0;
}

/* Waits until the socket is ready; returns for what, 0 when the time is up. */
static int ready(int fd, short events, int64_t until)
{
    struct pollfd one = { fd, events, 0 };
    for (;;) {
        int64_t left = until - now_ms();
        int found = left <= 0 ? 0 : poll(&one, 1, (int)left);
        if (found >= 0 || errno != EINTR)
            return found > 0 ? one.revents : 0;
    }
}

static int connect_to(struct connection *it, const struct addrinfo *address)
{
    int64_t until = now_ms() + CONNECT_TIME;
    it->fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    int error = it->fd < 0 || connect(it->fd, address->ai_addr, address->ai_addrlen) != 0 ? errno : 0;
    if (error == EINPROGRESS) {
        socklen_t length = sizeof error;
        if (ready(it->fd, POLLOUT, until < it->deadline ? until : it->deadline) == 0)
            error = ETIMEDOUT;
        else
            getsockopt(it->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0)
        return 1;
    if (it->fd >= 0)
        close(it->fd);
    it->fd = -1;
    return wrong(it, strerror(error));
}

/* Asks for the addresses anew, and tries all of them. The question has limits of its own (resolv.conf). */
static int connect_anew(struct connection *it, const struct target *target)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    int error = getaddrinfo(target->host, target->port, &hints, &found);
    it->since = now_ms();
    it->deadline = it->since + POST_TIME;
    it->next = it->have = 0;
    if (error != 0)
        return wrong(it, gai_strerror(error));
    const struct addrinfo *address = found;
    while (address != NULL && !connect_to(it, address))
        address = address->ai_next;
    freeaddrinfo(found);
    return it->fd >= 0;
}

/* Sends all of it, or what can be sent before there is an answer. */
static int send_all(struct connection *it, const char *bytes, size_t length)
{
    while (length > 0) {
        int what = ready(it->fd, POLLIN | POLLOUT, it->deadline);
        if (what == 0)
            return wrong(it, "it takes nothing for too long");
        if (what & POLLIN)
            return 1;
        ssize_t sent = send(it->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return wrong(it, strerror(errno));
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return 1;
}

/* The next byte of the answer; below 0 when there is none. */
static int next_byte(struct connection *it)
{
    while (it->next == it->have) {
        if (ready(it->fd, POLLIN, it->deadline) == 0)
            return wrong(it, "no whole answer for too long"), -1;
        ssize_t got = recv(it->fd, it->in, sizeof it->in, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return wrong(it, got == 0 ? "closed the connection without a whole answer" : strerror(errno)), -1;
        it->next = 0;
        it->have = (size_t)got;
    }
    return (unsigned char)it->in[it->next++];
}

/* A line without its end; what there is no room for is left out. */
static int read_line(struct connection *it, char *line, size_t room)
{
    size_t length = 0;
    int byte;
    /* Bounded by the time: a line does not end the reading, the deadline does. */
    while ((byte = next_byte(it)) >= 0 && byte != '\n')
        if (length + 1 < room && byte != '\r')
            line[length++] = (char)byte;
    line[length] = '\0';
    return byte >= 0;
}

static int is_header(const char *line, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':')
        return 0;
    *value = line + length + 1 + strspn(line + length + 1, " \t");
    return 1;
}

static int read_head(struct connection *it, struct head *head)
{
    char line[512];
    const char *value;
    *head = (struct head){ .length = -1 };
    if (!read_line(it, line, sizeof line))
        return 0;
    if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 || (head->status = atoi(line + 9)) < 200)
        return wrong(it, "what answers does not speak HTTP");
    head->is_last = line[7] != '1';
    while (read_line(it, line, sizeof line)) {
        if (line[0] == '\0')
            return 1;
        if (is_header(line, "content-length", &value))
            head->length = value[0] == '-' ? LONG_MAX : strtol(value, NULL, 10);
        else if (is_header(line, "transfer-encoding", &value))
            head->is_chunked = strcasecmp(value, "chunked") == 0;
        else if (is_header(line, "content-type", &value))
            head->is_json = strncasecmp(value, "application/json", 16) == 0;
        else if (is_header(line, "retry-after", &value))
            head->wait = atoi(value);
        else if (is_header(line, "connection", &value))
            head->is_last |= strcasecmp(value, "close") == 0;
    }
    return 0;
}

/* Reads so many bytes behind those that there are. */
static int read_bytes(struct connection *it, size_t *length, long more)
{
    if (more < 0 || (size_t)more >= sizeof it->body - *length)
        return wrong(it, too_long);
    for (; more > 0; more--) {
        int byte = next_byte(it);
        if (byte < 0)
            return 0;
        it->body[(*length)++] = (char)byte;
    }
    return 1;
}

static int read_chunks(struct connection *it, size_t *length)
{
    char line[64];
    char *end;
    for (;;) {
        if (!read_line(it, line, sizeof line))
            return 0;
        long size = strtol(line, &end, 16);
        if (end == line)
            return wrong(it, "its answer is no HTTP");
        if (size == 0)
            break;
        if (!read_bytes(it, length, size) || !read_line(it, line, sizeof line))
            return 0;
    }
    while (read_line(it, line, sizeof line))
        if (line[0] == '\0')
            return 1;
    return 0;
}

static int read_body(struct connection *it, struct head *head, size_t *length)
{
    if (head->is_chunked)
        return read_chunks(it, length);
    if (head->length >= 0)
        return read_bytes(it, length, head->length);
    /* What has none is no forwarder's: its status tells. */
    head->is_last = 1;
    return 1;
}

static void disconnect(struct connection *it)
{
    if (it->fd >= 0)
        close(it->fd);
    it->fd = -1;
}

/* Sends the request and reads the answer. Returns 0 when there is none; `wrong` says why. */
static int exchange(struct connection *it, const char *request, size_t length, struct head *head, size_t *body)
{
    *body = 0;
    int done = send_all(it, request, length) && read_head(it, head) && read_body(it, head, body);
    it->body[*body] = '\0';
    if (!done || head->is_last || now_ms() - it->since > LONGEST_CONNECTION)
        disconnect(it);
    return done;
}

/* Closed by the other side meanwhile, or it says something that nobody has asked for. */
static int is_usable(struct connection *it)
{
    if (it->fd >= 0 && (it->next < it->have || ready(it->fd, POLLIN, now_ms() + 1) != 0))
        disconnect(it);
    return it->fd >= 0;
}

/* Copies up to the end of a line or the character, as it can stand in a log line. */
static void keep(char *reason, const char *text, char end)
{
    size_t length = 0;
    for (; text[length] >= ' ' && text[length] != end && length + 1 < REASON_SIZE; length++)
        reason[length] = text[length];
    reason[length] = '\0';
}

/*
 * Whether it is a forwarder's answer to a batch of so many events, in its very form: where something else answers, such
 * as a sign-in page, events would be removed that nobody has.
 */
static int read_answer(const char *body, size_t length, unsigned events, struct outcome *found)
{
    static const char reason[] = "\"reason\":\"";
    unsigned later;
    int behind = 0;
    sscanf(body, "{\"accepted\":%6u,\"duplicates\":%6u,\"refused\":%6u,\"later\":%6u,\"lines\":[%n", &found->accepted,
           &found->duplicates, &found->refused, &later, &behind);
    /* Where some are to be sent again later, all of them are: the keys tell what is there already. */
    if (behind == 0 || strlen(body) != length || strcmp(body + length - 2, "]}") != 0 || later != 0 ||
        found->accepted + found->duplicates + found->refused != events)
        return 0;
    const char *why = strstr(body + behind, reason);
    if (why != NULL)
        keep(found->reason, why + sizeof reason - 1, '"');
    return 1;
}

static struct outcome judge(const char *body, const struct head *head, size_t length, unsigned events)
{
    struct outcome found = { .is = head->status == 413 ? TOO_LARGE : NOT_TAKEN, .wait = head->wait };
    char said[REASON_SIZE];
    if (head->status == 200 && head->is_json && read_answer(body, length, events, &found)) {
        found.is = TAKEN;
        return found;
    }
    keep(said, body, '\0');
    snprintf(found.reason, sizeof found.reason, "it answers %d%s%.120s", head->status,
             head->status == 200 ? ", but not as a forwarder does: " : said[0] == '\0' ? "" : " ", said);
    return found;
}

struct outcome post(struct connection *it, const struct target *target, const struct batch *batch)
{
    struct outcome none = { .is = NOT_TAKEN };
    struct head head;
    char text[HEAD_ROOM];
    size_t length;
    int is_v6 = strchr(target->host, ':') != NULL;
    size_t head_length =
        (size_t)snprintf(text, sizeof text,
                         "POST / HTTP/1.1\r\nhost: %s%s%s:%s\r\nuser-agent: falco-federation\r\n"
                         "content-type: application/x-ndjson\r\ncontent-length: %zu\r\n\r\n",
                         is_v6 ? "[" : "", target->host, is_v6 ? "]" : "", target->port, batch->length);
    char *request = batch->text - head_length;
    memcpy(request, text, head_length);
    it->deadline = now_ms() + POST_TIME;
    int was_kept = is_usable(it);
    it->wrong = "";
    int done = was_kept && exchange(it, request, head_length + batch->length, &head, &length);
    /* A kept connection may be closed in the very moment; what comes twice is known by its keys. */
    if (!done && (!was_kept || now_ms() < it->deadline) && connect_anew(it, target))
        done = exchange(it, request, head_length + batch->length, &head, &length);
    if (done)
        return judge(it->body, &head, length, batch->events);
    snprintf(none.reason, sizeof none.reason, "%s", it->wrong);
    return none;
}
