/*
 * A libcurl multi driven by a loop: one transfer after the other in, its result out. The connection that one leaves behind
 * serves the next, and libcurl does not tell connections apart by who was authenticated on them: so whoever shares a multi
 * shares an identity and its trust.
 */
#ifndef ESTD_MULTI_H
#define ESTD_MULTI_H

#include "http.h"
#include "loop.h"

struct multi;

/* Called once per transfer, which has left the multi already; it and the multi may be freed. */
typedef void multi_fn(void *data, struct http *http, CURLcode result);

/*
 * Called when libcurl itself fails, which does not end a transfer and does not let it go on: cancel it. The multi may be
 * freed. WHY: with code IO.
 */
typedef void multi_broken_fn(void *data, const struct t2c_error *why);

bool multi_new(
    struct loop *loop, multi_fn *fn, multi_broken_fn *broken, void *data, struct multi **out, struct t2c_error *err);
/* Closes its connection. Call when no transfer runs. */
void multi_free(struct multi *multi);
T2C_DEFINE_FREEP(multi_freep, struct multi, multi_free)

/* Starts HTTP when none runs; it stays the caller's. FN is called from the loop, never from here. */
bool multi_start(struct multi *multi, struct http *http, struct t2c_error *err);
/* Stops HTTP; FN is not called for it. */
void multi_cancel(struct multi *multi, struct http *http);

#endif
