/*
 * What a human wants of a certificate that estd keeps, and when they had better wait.
 */
#ifndef ESTD_WISH_H
#define ESTD_WISH_H

#include "entry.h"

/*
 * A new certificate at once. NOW: even while it waits after a failure, for a server that issues later, or for the clock. What is
 * under way already is success. Errors: RETRY when it waits.
 */
bool wish_renewal(struct entry *entry, bool now, struct t2c_error *err);

/* The same, but by a first enrolment, as if there were no certificate. Errors: RETRY while the server is asked. */
bool wish_enrolment(struct entry *entry, struct t2c_error *err);

#endif
