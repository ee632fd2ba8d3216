/*
 * simulate DEVICES [SVG]: what a fleet of so many devices does to its CA, by estd's own code. Prints figures beside those
 * of other programs, draws the curves, and ends with 1 when a bound is broken. make simulate; docs/fleet.md.
 */
#include "fleet_svg.h"

#include <inttypes.h>
#include <stdlib.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define DAY_S INT64_C(86400)
#define DAY_MIN 1440
#define LIFETIME_S (7 * DAY_S)
#define COMPARED 100000 /* devices, where programs are compared */

static const struct schedule_window usual = {60, 80};

/* ---- how others try again ---- */

static int64_t each_minute(unsigned failures, int64_t lifetime_s, double dice)
{
    (void)failures, (void)lifetime_s, (void)dice;
    return 60;
}

static int64_t full_jitter(unsigned failures, int64_t lifetime_s, double dice)
{
    double most_s = 60;
    (void)lifetime_s;
    while (--failures > 0 && most_s < 6 * 3600)
        most_s *= 2;
    return 1 + (int64_t)((most_s < 6 * 3600 ? most_s : 6 * 3600) * dice);
}

static int64_t four_percent(unsigned failures, int64_t lifetime_s, double dice)
{
    (void)failures, (void)dice;
    return lifetime_s / 25;
}

/* ---- the two stories ---- */

/* All enrolled within an hour: what happens in the next seven days. */
static struct fleet_plan together(unsigned devices, struct schedule_window window)
{
    return (struct fleet_plan){
        .devices = devices, .lifetime_s = LIFETIME_S, .begin = FLEET_AT_ONCE, .window = window, .end_s = LIFETIME_S};
}

/* The CA is down for a day, and can issue for a thousandth of the fleet in a minute. */
static struct fleet_plan outage(unsigned devices, enum fleet_begin begin, fleet_retry_fn *retry)
{
    return (struct fleet_plan){.devices = devices,
        .lifetime_s = LIFETIME_S,
        .begin = begin,
        .window = usual,
        .retry = retry,
        .end_s = 5 * DAY_S,
        .down_s = DAY_S,
        .up_s = 2 * DAY_S,
        .capacity = devices / 1000};
}

static void run(const struct fleet_plan *plan, struct fleet_counts *counts)
{
    if (fleet_run(plan, counts))
        return;
    fputs("simulate: no memory\n", stderr);
    exit(EXIT_FAILURE);
}

/* The most a minute once the CA is back. */
static unsigned peak_after(const struct fleet_plan *plan, const struct fleet_counts *counts)
{
    return fleet_peak(counts->asked, plan->up_s / 60, counts->minutes, 1);
}

static bool judge(const char *what, unsigned devices, double value, double bound)
{
    printf("%-58s %8u devices: %7.0f a minute, bound %7.0f: %s\n", what, devices, value, bound,
        value <= bound ? "kept" : "BROKEN");
    return value <= bound;
}

/* ---- printing ---- */

static void compare_windows(void)
{
    static const struct {
        const char *name;
        struct schedule_window window;
    } rows[] = {
        {"at 80 % of the lifetime (IoT Edge's own services)", {80, 80}},
        {"at 2/3 less up to 1/20 (step-ca)", {62, 67}},
        {"estd, 60-80 %", {60, 80}},
        {"estd, window = 50-80", {50, 80}},
    };
    printf("\nEnrolled within an hour, 7 days of lifetime, %d devices: renewals in the busiest minute\n", COMPARED);
    for (int i = 0; i < COUNT(rows); i++) {
        struct fleet_plan plan = together(COMPARED, rows[i].window);
        struct fleet_counts counts = {0};
        run(&plan, &counts);
        printf("  %-52s %6u\n", rows[i].name, fleet_peak(counts.issued, 0, counts.minutes, 1));
        fleet_free(&counts);
    }
}

static void compare_retries(enum fleet_begin begin, const char *load)
{
    static const struct {
        const char *name;
        fleet_retry_fn *retry;
    } rows[] = {
        {"each minute", each_minute},
        {"exponential, full jitter, 60 s to 6 h", full_jitter},
        {"each 4 % of the lifetime (IoT Edge's own services)", four_percent},
        {"estd", NULL},
    };
    printf("\nA day without CA, then %d a minute, %d devices, %s:\nrequests in the busiest minute, and in the busiest "
           "after the day; how long some were turned away\n",
        COMPARED / 1000, COMPARED, load);
    for (int i = 0; i < COUNT(rows); i++) {
        struct fleet_plan plan = outage(COMPARED, begin, rows[i].retry);
        struct fleet_counts counts = {0};
        run(&plan, &counts);
        int64_t last = plan.up_s / 60;
        for (int64_t minute = last; minute < counts.minutes; minute++)
            last = counts.asked[minute] > counts.issued[minute] ? minute + 1 : last;
        printf("  %-52s %6u %6u  %4" PRId64 " min  %u expired\n", rows[i].name,
            fleet_peak(counts.asked, 0, counts.minutes, 1), peak_after(&plan, &counts), last - plan.up_s / 60,
            counts.expired);
        fleet_free(&counts);
    }
}

/* Nothing is promised here: all of a fleet at the worst moment of its life. */
static void print_worst(void)
{
    unsigned worst = 0, expired = 0;
    for (int hour = 90; hour <= 140; hour += 5) {
        struct fleet_plan plan = together(COMPARED, usual);
        struct fleet_counts counts = {0};
        plan.down_s = hour * 3600;
        plan.up_s = plan.down_s + DAY_S;
        plan.end_s = LIFETIME_S + 2 * DAY_S;
        plan.capacity = COMPARED / 1000;
        run(&plan, &counts);
        unsigned peak = peak_after(&plan, &counts);
        worst = peak > worst ? peak : worst;
        expired += counts.expired;
        fleet_free(&counts);
    }
    printf("\nBoth at once, the day without CA at the worst hour of the fleet's window: %u a minute, %u expired\n",
        worst, expired);
}

/* ---- drawing ---- */

static bool draw(const char *path, unsigned devices, const struct fleet_counts *herd, const struct fleet_counts *down)
{
    struct fleet_plan fixed_plan = together(devices, (struct schedule_window){80, 80});
    struct fleet_plan minute_plan = outage(devices, FLEET_STEADY, each_minute);
    struct fleet_counts fixed = {0}, minute = {0};
    run(&fixed_plan, &fixed);
    run(&minute_plan, &minute);
    double capacity = minute_plan.capacity;
    char together_title[96], outage_title[96];
    snprintf(together_title, sizeof(together_title),
        "%u devices enrolled within an hour, 7 days of lifetime: renewals a minute", devices);
    snprintf(outage_title, sizeof(outage_title), "%u devices, a day without CA: requests a minute", devices);
    struct svg_chart charts[] = {
        {.title = together_title,
            .hours = 168,
            .hours_between = 24,
            .most = 100000,
            .curves = {{"all at 80 % of the lifetime", "#c0504d", fixed.issued, fixed.minutes},
                {"estd: 60-80 %", "#1f4e9c", herd->issued, herd->minutes}}},
        {.title = outage_title,
            .hours = 120,
            .hours_between = 12,
            .most = 1000000,
            .lines = {{"what the CA can issue", capacity}, {"twice that", 2 * capacity}},
            .shade_from = 24,
            .shade_to = 48,
            .curves = {{"tried again each minute", "#c0504d", minute.asked, minute.minutes},
                {"estd", "#1f4e9c", down->asked, down->minutes}}},
    };
    FILE *file = fopen(path, "w");
    bool ok = file != NULL && svg_write(file, charts, COUNT(charts));
    ok = file != NULL && fclose(file) == 0 && ok;
    if (!ok)
        fprintf(stderr, "simulate: %s cannot be written\n", path);
    fleet_free(&fixed);
    fleet_free(&minute);
    return ok;
}

int main(int argc, char **argv)
{
    long number = argc == 2 || argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    if (number < 1000 || number > 10000000) {
        fputs("Usage: simulate DEVICES [SVG], with 1000 to 10000000 devices\n", stderr);
        return 2;
    }
    unsigned devices = (unsigned)number;
    struct fleet_plan herd_plan = together(devices, usual), down_plan = outage(devices, FLEET_STEADY, NULL);
    struct fleet_counts herd = {0}, down = {0};
    run(&herd_plan, &herd);
    run(&down_plan, &down);
    bool ok = judge("Enrolled within an hour: peak, 1.6 N/(w L)", devices, fleet_peak(herd.issued, 0, herd.minutes, 1),
        1.6 * devices / (0.2 * LIFETIME_S / 60));
    ok = judge("A day without CA: peak after it, twice what it can issue", devices, peak_after(&down_plan, &down),
             2.0 * down_plan.capacity) &&
        ok;
    ok = judge("Certificates that expired in it", devices, down.expired, 0) && ok;
    compare_windows();
    compare_retries(FLEET_ONE_A_LIFE, "each due once in its 7 days");
    compare_retries(FLEET_STEADY, "each due after 60-80 % of them");
    print_worst();
    ok = (argc < 3 || draw(argv[2], devices, &herd, &down)) && ok;
    fleet_free(&herd);
    fleet_free(&down);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
