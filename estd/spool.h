/*
 * What estd asks of root, and what root answers: files in DIR = STATE_DIR/deploy.
 *
 *     requests/NAME.pem       the chain of the certificate NAME, leaf first; requests/NAME.ca.pem its CA certificates, if wanted
 *     asks/NAME               an empty file: somebody has to look at the request. systemd starts who does when there is any.
 *     results/NAME            lines KEY=VALUE: sha256 (of both requests), status (done or failed), message
 *
 * A request stays. It is pending until a result says that this very one is done; so nothing is lost, wherever anybody is
 * interrupted. Where its certificates go, and what is to be restarted, is no part of it: root reads that in its own configuration.
 */
#ifndef ESTD_SPOOL_H
#define ESTD_SPOOL_H

#include "tpm2cloud/cert.h"

#define SPOOL_DIR "deploy"
#define SPOOL_REQUESTS SPOOL_DIR "/requests"
#define SPOOL_ASKS SPOOL_DIR "/asks"
#define SPOOL_RESULTS SPOOL_DIR "/results"
#define SPOOL_REQUEST_MAX (256 * 1024)
#define SPOOL_TEXT_MAX 512

/* As PEM. */
struct spool_request {
    struct t2c_bytes chain, ca; /* ca: empty when it is not wanted */
};
void spool_request_fini(struct spool_request *request);

struct spool_result {
    char sha256[65];
    bool done;
    char text[SPOOL_TEXT_MAX]; /* why not */
};

/* Gives what tells REQUEST from others, in hexadecimal. */
bool spool_hash(const struct spool_request *request, char out[65], struct t2c_error *err);

/* ---- estd's side ---- */

/* Makes the directories of the spool in STATE_DIR. */
bool spool_make(const char *state_dir, struct t2c_error *err);

/* Asks root to install REQUEST for NAME. Asking once more for the same makes root look again. */
bool spool_ask(const char *state_dir, const char *name, const struct spool_request *request, struct t2c_error *err);

/* Gives: *out, the request of NAME. Errors: NOT_FOUND when there is none. */
bool spool_read(const char *state_dir, const char *name, struct spool_request *out, struct t2c_error *err);

/*
 * Gives: *pending, whether root has yet to do what is asked for NAME; *result, its last answer to this very request, all zero
 * without one. Errors: as spool_read.
 */
bool spool_look(
    const char *state_dir, const char *name, bool *pending, struct spool_result *result, struct t2c_error *err);

/* ---- root's side: DIRS are open, and it trusts nothing in them ---- */

struct spool_dirs {
    int requests, asks, results;
    uid_t owner; /* of all */
};
void spool_dirs_fini(struct spool_dirs *dirs);

/* Opens the spool in STATE_DIR. Errors: NOT_FOUND when there is none; INVALID when others than its owner may write there. */
bool spool_open(const char *state_dir, struct spool_dirs *out, struct t2c_error *err);

/* Removes what asks for a look, so that only what is asked for from now on asks for another. */
void spool_hear(const struct spool_dirs *dirs);

/*
 * Gives: *out, the request of NAME as bytes. Errors: NOT_FOUND when there is none; INVALID for a file that is not the spool owner's
 * own: a link to another among them.
 */
bool spool_take(const struct spool_dirs *dirs, const char *name, struct spool_request *out, struct t2c_error *err);

/* Gives: *out, what was answered last; all zero without an answer, or one that is not understood. */
void spool_answered(const struct spool_dirs *dirs, const char *name, struct spool_result *out);
bool spool_answer(
    const struct spool_dirs *dirs, const char *name, const struct spool_result *result, struct t2c_error *err);

/* ---- the form of a result; pure ---- */

bool spool_encode(const struct spool_result *result, struct t2c_bytes *out, struct t2c_error *err);
/* Errors: INVALID for what spool_encode does not write. */
bool spool_decode(const char *text, size_t text_len, struct spool_result *out, struct t2c_error *err);

#endif
