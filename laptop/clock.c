/* What stands before the C library for processes at a clock of their own (laptop/clock.py): all that tells the time of
   day adds the seconds that lie in a file which all of them map. No lock, no state: threads, forks and signals are safe,
   and a jump is one store that all see at once. Waits until a time of day are turned back to the real one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Of monotonic clocks nobody sees so large a time; of the time of day all after 2001 is larger. */
#define LEAST_TIME_OF_DAY 1000000000
static const volatile int64_t *offset;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PASSERELLE_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) {
        fprintf(stderr, "The clock PASSERELLE_CLOCK=%s cannot be read.\n", path ? path : "");
        _exit(1);
    }
    close(file);
    offset = page;
}

static int64_t ahead(void) { return offset ? *offset : 0; }

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real ? real(id, now) : (int)syscall(SYS_clock_gettime, id, now);
    if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (seconds)
        *seconds = exact.tv_sec;
    return exact.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

static struct timespec until(const struct timespec *given)
{
    struct timespec real = *given;
    if (real.tv_sec > LEAST_TIME_OF_DAY)
        real.tv_sec -= ahead();
    return real;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict given)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec moment = until(given);
    if (!real)
        real = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    return real(semaphore, &moment);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict given)
{
    typedef int (*wait_t)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    static wait_t real;
    struct timespec moment = until(given);
    if (!real) /* x86-64 has an older one of that name, which is for older conditions */
        real = (wait_t)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real)
        real = (wait_t)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return real(condition, mutex, &moment);
}
