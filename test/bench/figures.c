/*
 * Times and their medians. Two things are compared by the ratio of each pair that was measured one right after the other,
 * because the machine is faster at one time than at another; the median of those ratios is the figure.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void figures_init(struct figures *figures, size_t n)
{
    *figures = (struct figures){.own = new_zeroed(n, sizeof(double)), .base = new_zeroed(n, sizeof(double))};
}

void figures_add(struct figures *figures, double own, double base, double cpu)
{
    figures->own[figures->n] = own;
    figures->base[figures->n] = base;
    figures->n++;
    figures->cpu += cpu;
}

static int compare(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static double median_of_sorted(const double *values, size_t n)
{
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The value at a rank that may lie outside when there are few. */
static double at_rank(const double *values, size_t n, double rank)
{
    return values[(size_t)fmin(fmax(rank, 0), (double)(n - 1))];
}

void figures_print(const char *id, struct figures *figures)
{
    size_t n = figures->n; /* at least one */
    double *ratios = new_zeroed(n, sizeof(double));
    for (size_t i = 0; i < n; i++)
        ratios[i] = figures->own[i] / figures->base[i];
    qsort(ratios, n, sizeof(double), compare);
    qsort(figures->own, n, sizeof(double), compare);
    qsort(figures->base, n, sizeof(double), compare);
    /* Of n values, about n/2 +- 0.98 sqrt(n) is where the ranks of the true median's 95 % bounds are. */
    double middle = (double)(n - 1) / 2, spread = 0.98 * sqrt((double)n), own = median_of_sorted(figures->own, n);
    printf("%s\t%zu\t%.3f\t%.3f\t%.3f\t%.3f\t%.1f\t%.1f\n", id, n, median_of_sorted(ratios, n),
        at_rank(ratios, n, floor(middle - spread)), at_rank(ratios, n, ceil(middle + spread)),
        own / median_of_sorted(figures->base, n), own * 1e6, figures->cpu / (double)n * 1e6);
    free(ratios);
}

void figures_fini(struct figures *figures)
{
    free(figures->own);
    free(figures->base);
}

struct traffic traffic_read(void)
{
    struct traffic sum = {0};
    const char *path = getenv("T2C_TCTI_LOG");
    FILE *log = path != NULL ? fopen(path, "r") : NULL;
    unsigned code = 0;
    unsigned long sent = 0, received = 0;
    while (log != NULL && fscanf(log, "%x %lu %lu", &code, &sent, &received) == 3) {
        sum.commands++;
        sum.sent += sent;
        sum.received += received;
    }
    if (log != NULL)
        fclose(log);
    return sum;
}

void traffic_print(const char *id, const struct traffic *before, unsigned n)
{
    struct traffic now = traffic_read();
    printf("%s\t%g\t%.0f\t%.0f\n", id, (double)(now.commands - before->commands) / n,
        (double)(now.sent - before->sent) / n, (double)(now.received - before->received) / n);
}

double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void shuffle(size_t *order, size_t n)
{
    static uint32_t state = 2463534242;
    for (size_t i = n; i > 1; i--) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        size_t other = state % i, kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}
