/* A loop that does nothing but wait: clock_nanosleep to absolute deadlines. What it is late by, no loop can avoid.

   usage: reference_loop PERIOD_NS TICKS PRIORITY     prints the lateness of every tick [ns], one a line
   PRIORITY 1-99 asks for SCHED_FIFO; 0 stays with the ordinary scheduler. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t nanoseconds(const struct timespec *t) { return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec; }

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const int64_t period = atoll(argv[1]), ticks = atoll(argv[2]);
    const struct sched_param priority = {.sched_priority = atoi(argv[3])};
    if (priority.sched_priority > 0 && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) return 3;
    int64_t *late = calloc((size_t)ticks, sizeof *late);
    if (late == NULL) return 4;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t start = nanoseconds(&now);
    for (int64_t tick = 0; tick < ticks; tick++) {
        const int64_t due = start + (tick + 1) * period;
        const struct timespec deadline = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        late[tick] = nanoseconds(&now) - due;
    }
    for (int64_t tick = 0; tick < ticks; tick++) printf("%lld\n", (long long)late[tick]);
    return 0;
}
