/*
 * Writes down what happened: the state file and, when a path is configured, the metrics. Not for each event but at the
 * end of the loop's turn, and at most once a second, so that a burst of a thousand renewals is a few writes.
 */
#ifndef ESTD_PERSIST_H
#define ESTD_PERSIST_H

#include "config.h"
#include "loop.h"
#include "tpm2cloud/state.h"

struct persist;

/*
 * Reads the state in CONFIG's directory, and tidies up behind a process that was killed while it wrote. Takes a
 * reference to CONFIG.
 */
bool persist_open(struct loop *loop, struct config *config, struct persist **out, struct t2c_error *err);

/* Writes what is not written yet. */
void persist_close(struct persist *persist);
T2C_DEFINE_FREEP(persist_closep, struct persist, persist_close)

/* Goes on with CONFIG, of which it takes a reference; its state directory is the same. */
void persist_use(struct persist *persist, struct config *config);

/* Gives the entry of NAME, to be changed and then told about; NULL without memory. */
struct t2c_state_entry *persist_entry(struct persist *persist, const char *name);

/* An entry was changed. */
void persist_changed(struct persist *persist);

#endif
