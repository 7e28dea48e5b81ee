/*
 * A plugin for the real Falco (plugin API 3): an event source named "clock" with fifty events a second, so that a Falco
 * without a driver has something to tell. What is declared here is the part of the API that it needs.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, PLUGIN_EVENT = 322, PLUGIN_ID = 999, EVENTS_A_SECOND = 50 };

/* An event: this, then the length of each parameter, then the parameters: the plugin's number and its own bytes. */
struct event {
	uint64_t nanoseconds, thread;
	uint32_t length;
	uint16_t type;
	uint32_t parameters;
	uint32_t lengths[2];
	uint32_t plugin;
	char data[4];
} __attribute__((packed));

struct clock {
	struct event event;
	struct event *events[1];
};

const char *plugin_get_required_api_version(void) { return "3.0.0"; }
const char *plugin_get_version(void) { return "0.1.0"; }
const char *plugin_get_name(void) { return "clock"; }
const char *plugin_get_description(void) { return "fifty events a second"; }
const char *plugin_get_contact(void) { return "-"; }
const char *plugin_get_last_error(void *state) { (void)state; return ""; }
uint32_t plugin_get_id(void) { return PLUGIN_ID; }
const char *plugin_get_event_source(void) { return "clock"; }

void *plugin_init(const void *input, int32_t *result) {
	(void)input;
	*result = SUCCESS;
	return malloc(1);
}

void plugin_destroy(void *state) { free(state); }

void *plugin_open(void *state, const char *parameters, int32_t *result) {
	(void)state, (void)parameters;
	struct clock *clock = calloc(1, sizeof *clock);
	struct event event = {
	    .thread = UINT64_MAX,
	    .length = sizeof event,
	    .type = PLUGIN_EVENT,
	    .parameters = 2,
	    .lengths = {sizeof event.plugin, sizeof event.data},
	    .plugin = PLUGIN_ID,
	    .data = "tick",
	};
	clock->event = event;
	clock->events[0] = &clock->event;
	*result = SUCCESS;
	return clock;
}

void plugin_close(void *state, void *clock) {
	(void)state;
	free(clock);
}

int32_t plugin_next_batch(void *state, struct clock *clock, uint32_t *count, struct event ***events) {
	(void)state;
	nanosleep(&(struct timespec){.tv_nsec = 1000000000 / EVENTS_A_SECOND}, NULL);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	clock->event.nanoseconds = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	*count = 1;
	*events = clock->events;
	return SUCCESS;
}
