/*
 * Time that only goes on: nobody sets it, and it stands still while the machine sleeps.
 */
#ifndef TPM2CLOUD_CLOCK_H
#define TPM2CLOUD_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC, in milliseconds. */
int64_t t2c_clock_ms(void);

#endif
