/*
 * An estd that runs is asked over its socket, and watched; it may be at the certificate already, of which it has just read. Where none
 * runs, one does this alone, as the user whose daemon will replace the files.
 */
#include "enrolment.h"

#include "child.h"
#include "estd_wait.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/text.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Says whether ENTRY is a certificate that needs nothing. Gives: TEXT. */
static bool is_in_force(const struct t2c_state_entry *entry, char text[ENROLMENT_TEXT_MAX])
{
    char until[T2C_CIVIL_TEXT_MAX];
    bool good = entry->failures == 0 && entry->not_after_s > time(NULL);
    if (good)
        snprintf(
            text, ENROLMENT_TEXT_MAX, "a certificate is in force until %s", t2c_civil_text(entry->not_after_s, until));
    return good;
}

/* ---- an estd that runs ---- */

/* What estd says of one certificate, and what it tells meanwhile. */
struct look {
    struct estd_wait *wait;
    bool found;
    struct t2c_certificate certificate;
};

static void on_reply(void *data, const struct t2c_reply *reply)
{
    struct look *look = data;
    if (reply->kind == T2C_TELL_CERTIFICATE && strcmp(reply->as.certificate.state.name, look->wait->name) == 0) {
        look->found = true;
        look->certificate = reply->as.certificate;
    }
    estd_wait_notice(look->wait, reply);
}

/* Says whether estd waits for its next try: one that could not look, or install, waits where it was. */
static bool is_between_tries(const struct t2c_certificate *certificate)
{
    const struct t2c_state_entry *state = &certificate->state;
    return strcmp(certificate->doing, "asking") != 0 && state->failures > 0 && state->next_s > time(NULL);
}

/* Gives *idle, that estd waits and so would have to be asked; *enough with TEXT, that the certificate is in force. */
static bool look(struct estd *estd, struct estd_wait *wait, bool *idle, bool *enough, char text[ENROLMENT_TEXT_MAX],
    struct t2c_error *err)
{
    static const struct t2c_request status = {.kind = T2C_ASK_STATUS};
    struct look look = {.wait = wait};
    struct t2c_done done;
    if (!estd_request(estd, &status, on_reply, &look, &done, err))
        return false;
    if (!look.found)
        return t2c_fail(err, T2C_NOT_FOUND,
            "estd keeps no certificate %s; its configuration may be refused: tpm2cloud reload", wait->name);
    bool waits = strcmp(look.certificate.doing, "waiting") == 0;
    *idle = waits || is_between_tries(&look.certificate);
    *enough = waits && is_in_force(&look.certificate.state, text);
    return true;
}

/*
 * Waits until estd is not at the certificate any more: one of which it has just read it enrols by itself. What it tried in vain does not
 * count.
 */
static bool settle(
    struct estd *estd, struct estd_wait *wait, bool *enough, char text[ENROLMENT_TEXT_MAX], struct t2c_error *err)
{
    for (bool idle = false; !idle;) {
        wait->moved = false;
        if (!look(estd, wait, &idle, enough, text, err))
            return false;
        wait->over = wait->over && wait->good;
        if (!idle && !estd_wait_move(estd, wait, err))
            return false;
    }
    return true;
}

/* One that has just come, by itself, is as new as one that would be asked for. */
static bool ask(
    struct estd *estd, const char *name, bool reload, bool anew, char text[ENROLMENT_TEXT_MAX], struct t2c_error *err)
{
    static const struct t2c_request again = {.kind = T2C_ASK_RELOAD};
    struct estd_wait wait = {.name = name};
    struct t2c_request request = {.kind = T2C_ASK_ENROLL};
    struct t2c_done done;
    bool enough = false;
    strcpy(request.name, name);
    if (!estd_watch(estd, err) || (reload && !estd_request(estd, &again, estd_wait_notice, &wait, &done, err)) ||
        ((reload || !anew) && !settle(estd, &wait, &enough, text, err)))
        return false;
    if (enough && !anew)
        return true;
    if (!wait.over &&
        (!estd_request(estd, &request, estd_wait_notice, &wait, &done, err) || !estd_wait_end(estd, &wait, err)))
        return false;
    t2c_text_copy(text, ENROLMENT_TEXT_MAX, wait.outcome.text);
    return true;
}

/* ---- one for this alone ---- */

/* Gives *is, whether another user's daemon has this state, and who that is. */
static bool find_user(const struct estd_place *place, bool *is, struct child_user *out, struct t2c_error *err)
{
    struct stat found;
    *is = geteuid() == 0 && stat(place->state_dir, &found) == 0 && found.st_uid != 0;
    return !*is || child_user_find(found.st_uid, out, err) ||
        t2c_fail_context(err, "the owner of %s", place->state_dir);
}

static bool is_known(const struct estd_place *place, const char *name, char text[ENROLMENT_TEXT_MAX])
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    if (!t2c_state_read(place->state_dir, &state, NULL))
        return false;
    const struct t2c_state_entry *entry = t2c_state_find(&state, name);
    return entry != NULL && is_in_force(entry, text);
}

static bool run(const struct estd_place *place, const char *name, char text[ENROLMENT_TEXT_MAX], struct t2c_error *err)
{
    static char program[] = "estd", config[] = "--config", enroll[] = "--enroll";
    char *const argv[] = {program, config, place->conf, enroll, (char *)name, NULL};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct child_user user = {0};
    bool other = false;
    if (!find_user(place, &other, &user, err) || !child_run(argv, other ? &user : NULL, &out, err))
        return false;
    const char *line = out.len > 0 ? (const char *)out.data : "";
    size_t name_len = strlen(name);
    if (strncmp(line, name, name_len) == 0 && strncmp(line + name_len, ": ", 2) == 0)
        line += name_len + 2;
    snprintf(text, ENROLMENT_TEXT_MAX, "%.*s", (int)strcspn(line, "\n"), line);
    return true;
}

bool enrolment_by_estd(const struct estd_place *place, const char *name, bool reload, bool anew,
    char text[ENROLMENT_TEXT_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_error why = {0};
    if (name[0] == '\0' || strlen(name) > T2C_STATE_NAME_MAX || !t2c_text_is_clean(name, strlen(name)))
        return t2c_fail(err, T2C_INVALID, "\"%.80s\" is not the name of a certificate", name);
    if (estd_open(place, &estd, &why))
        return ask(estd, name, reload, anew, text, err);
    if (why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return (!anew && is_known(place, name, text)) || run(place, name, text, err) ||
        t2c_fail_context(err, "no estd is running, and the one that was started for this");
}
