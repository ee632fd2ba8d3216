/*
 * Where a certificate's copies stand, as its configuration says: one from which estd itself reads it (cert->place), and those
 * of its readers, which follow. Runs on the main thread.
 */
#ifndef ESTD_PLACE_H
#define ESTD_PLACE_H

#include "config.h"

/*
 * Gives: *chain, what is installed, leaf first; *same, whether all copies are. Before that it finishes what a killed process was
 * about; only under the lock.
 * Errors: NOT_FOUND when nothing is installed, INVALID when it is no PEM chain, EXISTS when it holds a private key; AUTH, IO.
 */
bool place_read(const struct config *config, const struct config_cert *cert, STACK_OF(X509) **chain, bool *same,
    struct t2c_error *err);

/* Says whether PEM, which was installed, and all copies of it are still there. Changes nothing. */
bool place_is_untouched(const struct config *config, const struct config_cert *cert, const struct t2c_bytes *pem);

/*
 * Installs CHAIN: GENERATION (0: none) gets it and comes into force, then the copies are written. A second time does no harm.
 * Errors: the first place that failed; those behind it are as they were.
 */
bool place_write(const struct config *config, const struct config_cert *cert, uint64_t generation,
    const STACK_OF(X509) *chain, struct t2c_error *err);

/* Writes the copies of CHAIN, which is installed, where they are not what they should be. Errors: as place_write. */
bool place_update(
    const struct config *config, const struct config_cert *cert, const STACK_OF(X509) *chain, struct t2c_error *err);

/* Gives: *out, a URI or path of the key in force, to be freed: the generation's, else the configured one. */
bool place_key(const struct config *config, const struct config_cert *cert, char **out, struct t2c_error *err);

#endif
