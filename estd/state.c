/*
 * What the file says is lib's; here is how it is kept.
 */
#include "state.h"

#include "tpm2cloud/file.h"
#include <errno.h>
#include <stdio.h>

bool state_save(const struct t2c_state *state, const char *dir, struct t2c_error *err)
{
    static const struct t2c_file_owner owner = {.mode = 0640, .uid = (uid_t)-1, .gid = (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    return t2c_state_encode(state, &data, err) && t2c_bytes_printf(&path, err, "%s/" T2C_STATE_FILE, dir) &&
        t2c_file_replace((const char *)path.data, data.data, data.len, &owner, err);
}

/* Takes the file that WHY is about out of the way. */
static bool set_aside(const char *dir, const struct t2c_error *why, struct t2c_error *note, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes aside = {0};
    const char *suffix = why->code == T2C_EXISTS ? "newer" : "damaged";
    if (!t2c_bytes_printf(&path, err, "%s/" T2C_STATE_FILE, dir) ||
        !t2c_bytes_printf(&aside, err, "%s.%s", (const char *)path.data, suffix))
        return false;
    const char *from = (const char *)path.data, *to = (const char *)aside.data;
    if (rename(from, to) != 0)
        return t2c_fail_errno(err, errno, "%s is not readable (%s) and cannot be renamed", from, why->text);
    t2c_fail(note, T2C_INVALID, "%s is not readable (%s); it is set aside as %s and statistics begin anew", from,
        why->text, to);
    return true;
}

bool state_load(const char *dir, struct t2c_state *out, struct t2c_error *note, struct t2c_error *err)
{
    struct t2c_error why = {0};
    *note = (struct t2c_error){0};
    if (t2c_state_read(dir, out, &why))
        return true;
    *out = (struct t2c_state){0};
    if (why.code == T2C_NOT_FOUND)
        return true;
    return why.code == T2C_INVALID || why.code == T2C_EXISTS ? set_aside(dir, &why, note, err)
                                                             : t2c_fail_with(err, &why);
}
