/*
 * Days are counted in eras of 400 years that begin on 1 March, so that the leap day is the last day of its year.
 */
#include "tpm2cloud/civil.h"

#include "tpm2cloud/cert.h"
#include <stdio.h>
#include <string.h>

#define ERA_DAYS 146097
#define EPOCH_DAY 719468 /* 1970-01-01, counted from 0000-03-01 */

int64_t t2c_civil_seconds(int64_t year, int month, int day, int hour, int minute, int second)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    int64_t days = era * ERA_DAYS + day_of_era - EPOCH_DAY;
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

struct date {
    int64_t year;
    int month, day;
};

static struct date date_of_day(int64_t days)
{
    int64_t shifted = days + EPOCH_DAY;
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA_DAYS - 1)) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    return (struct date){
        .year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
        .month = month,
        .day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
    };
}

static int64_t day_of(int64_t at_s)
{
    return (at_s >= 0 ? at_s : at_s - 86399) / 86400;
}

int64_t t2c_civil_year(int64_t at_s)
{
    return date_of_day(day_of(at_s)).year;
}

const char *t2c_civil_text(int64_t at_s, char out[T2C_CIVIL_TEXT_MAX])
{
    if (at_s >= T2C_CERT_NEVER) {
        snprintf(out, T2C_CIVIL_TEXT_MAX, "never");
        return out;
    }
    int64_t day = day_of(at_s);
    int64_t second = at_s - day * 86400;
    struct date date = date_of_day(day);
    snprintf(out, T2C_CIVIL_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)date.year, date.month, date.day,
        (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60));
    return out;
}

int64_t t2c_civil_unit(const char *unit)
{
    static const struct {
        const char *name;
        int64_t s;
    } units[] = {{"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}, {"day", 86400}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].s;
    return 0;
}
