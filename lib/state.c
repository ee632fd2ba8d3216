/*
 * Version 1 had the numbers alone; what it lacks is zero. A version is a promise to those who come later: a field that is
 * added needs a new one, because an older program refuses what it does not know.
 */
#include "tpm2cloud/state.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/text.h"
#include <string.h>

#define VERSION 3

#define FIELD(member, kind) T2C_CBOR_FIELD(struct t2c_state_entry, member, #member, kind)

const struct t2c_cbor_field t2c_state_fields[T2C_STATE_FIELDS_N] = {
    FIELD(renewals, T2C_CBOR_NUMBER),
    FIELD(last_success_s, T2C_CBOR_NUMBER),
    FIELD(failures, T2C_CBOR_NUMBER),
    FIELD(last_error, T2C_CBOR_TEXT),
    FIELD(failures_in_all, T2C_CBOR_NUMBER),
    FIELD(last_failure_s, T2C_CBOR_NUMBER),
    FIELD(last_code, T2C_CBOR_TEXT),
    FIELD(not_before_s, T2C_CBOR_NUMBER),
    FIELD(not_after_s, T2C_CBOR_NUMBER),
    FIELD(issuer, T2C_CBOR_TEXT),
    FIELD(next_s, T2C_CBOR_NUMBER),
    FIELD(rung, T2C_CBOR_NUMBER),
    FIELD(pending_until_s, T2C_CBOR_NUMBER),
    FIELD(pending_digest, T2C_CBOR_OCTETS),
    FIELD(trust_s, T2C_CBOR_NUMBER),
    FIELD(deploy_pending, T2C_CBOR_BOOL),
    FIELD(dps_digest, T2C_CBOR_OCTETS),
    FIELD(dps_failures, T2C_CBOR_NUMBER),
    FIELD(dps_next_s, T2C_CBOR_NUMBER),
    FIELD(dps_error, T2C_CBOR_TEXT),
};

void t2c_state_fini(struct t2c_state *state)
{
    for (size_t i = 0; i < state->entries_n; i++)
        free(state->entries[i]);
    free(state->entries);
    *state = (struct t2c_state){0};
}

/* ---- entries ---- */

/* Gives the index of NAME, or where it belongs. */
static size_t place_of(const struct t2c_state *state, const char *name)
{
    size_t low = 0, high = state->entries_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(state->entries[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct t2c_state *state, size_t place, const char *name)
{
    return place < state->entries_n && strcmp(state->entries[place]->name, name) == 0;
}

struct t2c_state_entry *t2c_state_find(const struct t2c_state *state, const char *name)
{
    size_t place = place_of(state, name);
    return is_at(state, place, name) ? state->entries[place] : NULL;
}

static bool make_room(struct t2c_state *state)
{
    if (state->entries_n < state->entries_cap)
        return true;
    size_t cap = state->entries_cap > 0 ? 2 * state->entries_cap : 8;
    struct t2c_state_entry **entries = realloc(state->entries, cap * sizeof(*entries));
    if (entries == NULL)
        return false;
    state->entries = entries;
    state->entries_cap = cap;
    return true;
}

struct t2c_state_entry *t2c_state_entry(struct t2c_state *state, const char *name)
{
    size_t place = place_of(state, name);
    if (is_at(state, place, name))
        return state->entries[place];
    if (state->entries_n >= T2C_STATE_ENTRIES_MAX || strlen(name) > T2C_STATE_NAME_MAX || !make_room(state))
        return NULL;
    struct t2c_state_entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    strcpy(entry->name, name);
    struct t2c_state_entry **at = state->entries + place;
    memmove(at + 1, at, (state->entries_n - place) * sizeof(struct t2c_state_entry *));
    *at = entry;
    state->entries_n++;
    return entry;
}

void t2c_state_remove(struct t2c_state *state, const char *name)
{
    size_t place = place_of(state, name);
    if (!is_at(state, place, name))
        return;
    struct t2c_state_entry **at = state->entries + place;
    free(*at);
    state->entries_n--;
    memmove(at, at + 1, (state->entries_n - place) * sizeof(struct t2c_state_entry *));
}

void t2c_state_succeeded(struct t2c_state_entry *entry, bool renewal, int64_t now_s)
{
    entry->renewals += renewal;
    entry->last_success_s = now_s;
    entry->failures = 0;
    entry->pending_until_s = 0;
    entry->last_error[0] = entry->last_code[0] = '\0';
}

void t2c_state_failed(struct t2c_state_entry *entry, const struct t2c_error *why, int64_t now_s)
{
    entry->failures++;
    entry->failures_in_all++;
    entry->pending_until_s = 0;
    entry->last_failure_s = now_s;
    t2c_text_copy(entry->last_error, sizeof(entry->last_error), why->text);
    t2c_text_copy(entry->last_code, sizeof(entry->last_code), t2c_code_name(why->code));
}

/* ---- CBOR ---- */

bool t2c_state_encode(const struct t2c_state *state, struct t2c_bytes *out, struct t2c_error *err)
{
    if (!t2c_cbor_put_map(out, 2, err) || !t2c_cbor_put_text(out, "version", err) ||
        !t2c_cbor_put_number(out, VERSION, err) || !t2c_cbor_put_text(out, "certificates", err) ||
        !t2c_cbor_put_map(out, state->entries_n, err))
        return false;
    for (size_t i = 0; i < state->entries_n; i++)
        if (!t2c_cbor_put_text(out, state->entries[i]->name, err) ||
            !t2c_cbor_put_struct(out, t2c_state_fields, T2C_STATE_FIELDS_N, state->entries[i], err))
            return false;
    return true;
}

static bool read_entry(struct t2c_cbor *from, struct t2c_state *state, struct t2c_error *err)
{
    char name[T2C_STATE_NAME_MAX + 1];
    size_t before = state->entries_n;
    if (!t2c_cbor_read_text(from, name, sizeof(name), err))
        return false;
    struct t2c_state_entry *entry = t2c_state_entry(state, name);
    if (entry == NULL)
        return t2c_fail_nomem(err);
    if (state->entries_n == before)
        return t2c_cbor_refuse(from, "a name that stood there before ends", err);
    return t2c_cbor_read_struct(from, t2c_state_fields, T2C_STATE_FIELDS_N, entry, err);
}

static bool read_version(struct t2c_cbor *from, size_t pairs, struct t2c_error *err)
{
    uint64_t version = 0;
    if (!t2c_cbor_read_key(from, "version", err) || !t2c_cbor_read_number(from, &version, err))
        return false;
    if (version > VERSION)
        return t2c_fail(
            err, T2C_EXISTS, "version %llu, and this program knows %d", (unsigned long long)version, VERSION);
    if (version == 0 || pairs != 2)
        return t2c_cbor_refuse(from, "no version that has been, or certificates missing,", err);
    return true;
}

static bool decode(struct t2c_cbor *from, struct t2c_state *state, struct t2c_error *err)
{
    size_t pairs = 0, entries = 0;
    if (!t2c_cbor_read_map(from, 16, &pairs, err) || !read_version(from, pairs, err) ||
        !t2c_cbor_read_key(from, "certificates", err) || !t2c_cbor_read_map(from, T2C_STATE_ENTRIES_MAX, &entries, err))
        return false;
    for (size_t i = 0; i < entries; i++)
        if (!read_entry(from, state, err))
            return false;
    return from->at == from->len || t2c_cbor_refuse(from, "trailing bytes", err);
}

bool t2c_state_decode(const void *data, size_t data_len, struct t2c_state *out, struct t2c_error *err)
{
    struct t2c_cbor from = {.data = data, .len = data_len};
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    if (!decode(&from, &state, err))
        return false;
    *out = state;
    state = (struct t2c_state){0};
    return true;
}

bool t2c_state_read(const char *dir, struct t2c_state *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    return t2c_bytes_printf(&path, err, "%s/" T2C_STATE_FILE, dir) &&
        t2c_file_read((const char *)path.data, T2C_STATE_FILE_MAX, &data, err) &&
        t2c_state_decode(data.data, data.len, out, err);
}
