/*
 * What monitoring reads: one file in the text format of Prometheus, for the node exporter's textfile collector.
 */
#ifndef ESTD_METRICS_H
#define ESTD_METRICS_H

#include "config.h"
#include "tpm2cloud/state.h"

/* Appends the metrics of CONFIG's certificates as STATE has them. Pure. */
bool metrics_format(
    const struct config *config, const struct t2c_state *state, struct t2c_bytes *out, struct t2c_error *err);

/* Replaces PATH atomically; everybody may read it. */
bool metrics_write(const char *path, const struct config *config, const struct t2c_state *state, struct t2c_error *err);

#endif
