/*
 * What the state keeps of an entry besides its statistics: for status, for monitoring, and so that a restart changes nothing.
 */
#ifndef ESTD_NOTE_H
#define ESTD_NOTE_H

#include "entry.h"

/* What is installed: CHAIN, or NULL for nothing. */
void note_life(struct entry *entry, const struct schedule_life *life, const STACK_OF(X509) *chain);

/* What ACTION waits for, and who asks. */
void note_step(struct entry *entry, const struct renew_action *action);

/* That the server has taken the request, and wants it once more when the entry wakes. */
void note_pending(struct entry *entry);

/* Gives how long the server still wants to be left in peace with this request; -1: not at all. */
int64_t note_pending_s(const struct entry *entry);

#endif
