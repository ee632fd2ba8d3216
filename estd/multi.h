/*
 * A libcurl multi driven by a loop: transfers in, their results out.
 */
#ifndef ESTD_MULTI_H
#define ESTD_MULTI_H

#include "http.h"
#include "loop.h"

struct multi;

/* Called once per transfer, which has left the multi already and may be freed. */
typedef void multi_fn(void *data, struct http *http, CURLcode result);

/*
 * Called when libcurl itself fails, which ends none of the transfers and lets none of them go on: cancel them all. WHY:
 * with code IO.
 */
typedef void multi_broken_fn(void *data, const struct t2c_error *why);

bool multi_new(
    struct loop *loop, multi_fn *fn, multi_broken_fn *broken, void *data, struct multi **out, struct t2c_error *err);
void multi_free(struct multi *multi);
T2C_DEFINE_FREEP(multi_freep, struct multi, multi_free)

/* Starts HTTP, which stays the caller's; FN is called from the loop, never from here. */
bool multi_start(struct multi *multi, struct http *http, struct t2c_error *err);
/* Stops HTTP; FN is not called for it. */
void multi_cancel(struct multi *multi, struct http *http);

#endif
