/*
 * Calendar dates as int64_t seconds since the epoch, in UTC, without time_t. Pure.
 */
#ifndef TPM2CLOUD_CIVIL_H
#define TPM2CLOUD_CIVIL_H

#include <stdint.h>

/* "9999-12-31T23:59:59Z" and the NUL, with room for years beyond. */
#define T2C_CIVIL_TEXT_MAX 32

/* Gives the seconds of a date of the Gregorian calendar; month 1-12, day 1-31, unchecked. */
int64_t t2c_civil_seconds(int64_t year, int month, int day, int hour, int minute, int second);

/* Writes AT_S as ISO 8601 in UTC, "never" for T2C_CERT_NEVER and whatever is later. Gives OUT. */
const char *t2c_civil_text(int64_t at_s, char out[T2C_CIVIL_TEXT_MAX]);

/* Gives the seconds of a unit, as "h", that people write behind a number; 0 for no unit. */
int64_t t2c_civil_unit(const char *unit);

/* Gives the year of AT_S. */
int64_t t2c_civil_year(int64_t at_s);

#endif
