/*
 * How a generation of a key and its certificate comes to be (tpm2cloud/generation.h says what it is): a directory with the
 * key first, then with the certificate, and then the link leads to it. Nothing that is in force is ever written to, so a
 * process may be killed anywhere; what it was about is finished, or begun anew, at the next start.
 *
 * The next generation is always the one behind the current one. Its key stays until a certificate for it comes: that a server
 * issued one, and we were killed before it came, costs no key.
 */
#ifndef ESTD_GENERATION_H
#define ESTD_GENERATION_H

#include "tpm2cloud/bytes.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/generation.h"

/* Where NAME's generations are: CERTS_DIR/NAME. */
struct generation_dir {
    const char *certs_dir, *name;
};

/* Gives: *n, that in force, or 0 when there is none. Errors: INVALID for a link that leads elsewhere, AUTH. */
bool generation_current(const struct generation_dir *dir, uint64_t *n, struct t2c_error *err);

/* Appends the path of FILE, T2C_GENERATION_..., in generation N. */
bool generation_path(
    const struct generation_dir *dir, uint64_t n, const char *file, struct t2c_bytes *out, struct t2c_error *err);

/* Makes the directory of the next generation, if it is not there. Gives: *n, its number. */
bool generation_prepare(const struct generation_dir *dir, uint64_t *n, struct t2c_error *err);

/* Removes the next generation, so that generation_prepare begins anew. */
bool generation_discard(const struct generation_dir *dir, struct t2c_error *err);

/*
 * Completes generation N, which has its key, with CERTS (PEM), for OWNER. The key's file gets OWNER, too, and keeps of its mode
 * what others may not do.
 */
bool generation_fill(const struct generation_dir *dir, uint64_t n, const struct t2c_bytes *certs,
    const struct t2c_file_owner *owner, struct t2c_error *err);

/* Puts generation N in force. The one before it stays for whoever still reads it; older ones are removed. */
bool generation_switch(const struct generation_dir *dir, uint64_t n, struct t2c_error *err);

/*
 * Finishes what a killed process was about, when DIR exists: the next generation is put in force if its certificate came, and what
 * belongs to none is removed. Gives: *switched, whether it was. Only under the lock.
 */
bool generation_recover(const struct generation_dir *dir, bool *switched, struct t2c_error *err);

#endif
