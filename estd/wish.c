/*
 * A wish is for once: what becomes of it is an event, and a failure is tried again as any other.
 */
#include "wish.h"

#include "note.h"
#include "tpm2cloud/civil.h"

/* Fails when the next step had better wait. */
static bool check_wait(const struct entry *entry, struct t2c_error *err)
{
    const struct renew *renew = &entry->renew;
    const char *name = entry->cert->name;
    char at[T2C_CIVIL_TEXT_MAX];
    if (renew->clock_unset)
        return t2c_fail(err, T2C_RETRY, "%s waits until the clock is set; --now does not wait", name);
    if (renew->waiting && note_pending_s(entry) > 0)
        return t2c_fail(err, T2C_RETRY, "%s waits for the server, which issues later, until %s; --now does not wait",
            name, t2c_civil_text(entry->wake_s, at));
    if (renew->waiting && renew->failures > 0)
        return t2c_fail(err, T2C_RETRY, "%s waits after a failure, until %s; --now does not wait: %s", name,
            t2c_civil_text(entry->wake_s, at), entry->state->last_error);
    return true;
}

bool wish_renewal(struct entry *entry, bool now, struct t2c_error *err)
{
    entry_attend(entry);
    if (entry->renew.state == RENEW_ASKING)
        return true;
    if (!now && !check_wait(entry, err))
        return false;
    entry_want(entry, ENTRY_RENEWAL);
    return true;
}

bool wish_enrolment(struct entry *entry, struct t2c_error *err)
{
    const struct renew *renew = &entry->renew;
    entry_attend(entry);
    if (renew->state == RENEW_ASKING || (renew->state == RENEW_PLACING && !renew->waiting))
        return t2c_fail(
            err, T2C_RETRY, "the server is being asked for %s already; wait for the outcome", entry->cert->name);
    entry_want(entry, ENTRY_ENROLMENT);
    return true;
}
