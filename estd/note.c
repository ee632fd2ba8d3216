/*
 * A 202 is kept with what was asked for: a configuration that was changed since does not wait for what nobody wants any more.
 */
#include "note.h"

#include "report.h"
#include <string.h>

void note_life(struct entry *entry, const struct schedule_life *life, const STACK_OF(X509) *chain)
{
    struct t2c_state_entry *state = entry->state;
    state->not_before_s = life->not_before_s > 0 ? life->not_before_s : 0;
    state->not_after_s = life->not_after_s > 0 ? life->not_after_s : 0;
    state->issuer[0] = '\0';
    if (chain != NULL)
        report_issuer(chain, state->issuer, sizeof(state->issuer));
    persist_changed(entry->common->events.persist);
}

void note_step(struct entry *entry, const struct renew_action *action)
{
    struct t2c_state_entry *state = entry->state;
    int64_t next_s = action->what == RENEW_DO_WAIT ? entry->renew.due_s : state->next_s;
    uint64_t rung = renew_is_fallen(&entry->renew) ? 1 : 0;
    if (entry->renew.state == RENEW_LOOKING) /* knows nothing yet */
        rung = state->rung;
    if (state->next_s == next_s && state->rung == rung)
        return;
    state->next_s = next_s;
    state->rung = rung;
    persist_changed(entry->common->events.persist);
}

void note_pending(struct entry *entry)
{
    struct t2c_state_entry *state = entry->state;
    state->pending_until_s = entry->wake_s;
    memcpy(state->pending_digest, entry->cert->digest, sizeof(state->pending_digest));
    persist_changed(entry->common->events.persist);
}

int64_t note_pending_s(const struct entry *entry)
{
    const struct t2c_state_entry *state = entry->state;
    bool same = memcmp(state->pending_digest, entry->cert->digest, sizeof(state->pending_digest)) == 0;
    int64_t left_s = state->pending_until_s - loop_now_s();
    return same && left_s > 0 ? left_s : -1;
}
