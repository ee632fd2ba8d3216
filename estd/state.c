/*
 * CBOR item by item with libcbor's streaming half: definite lengths only, every length and count bounded, nothing
 * allocated on the say-so of the file.
 */
#include "state.h"

#include "tpm2cloud/file.h"
#include <cbor.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (2 * 1024 * 1024)
#define VERSION 1

void state_fini(struct state *state)
{
    free(state->entries);
    *state = (struct state){0};
}

struct state_entry *state_entry(struct state *state, const char *name)
{
    for (size_t i = 0; i < state->entries_n; i++)
        if (strcmp(state->entries[i].name, name) == 0)
            return &state->entries[i];
    if (state->entries_n >= STATE_ENTRIES_MAX || strlen(name) > STATE_NAME_MAX)
        return NULL;
    struct state_entry *entries = realloc(state->entries, (state->entries_n + 1) * sizeof(*entries));
    if (entries == NULL)
        return NULL;
    state->entries = entries;
    struct state_entry *entry = &entries[state->entries_n++];
    *entry = (struct state_entry){0};
    strcpy(entry->name, name);
    return entry;
}

void state_succeeded(struct state_entry *entry, int64_t now_s)
{
    entry->renewals++;
    entry->last_success_s = now_s;
    entry->failures = 0;
    entry->last_error[0] = '\0';
}

void state_failed(struct state_entry *entry, const char *text)
{
    entry->failures++;
    snprintf(entry->last_error, sizeof(entry->last_error), "%s", text);
}

/* ---- writing ---- */

static bool put_uint(struct t2c_bytes *out, uint64_t value, struct t2c_error *err)
{
    uint8_t head[9];
    return t2c_bytes_append(out, head, cbor_encode_uint(value, head, sizeof(head)), err);
}

static bool put_map(struct t2c_bytes *out, size_t pairs, struct t2c_error *err)
{
    uint8_t head[9];
    return t2c_bytes_append(out, head, cbor_encode_map_start(pairs, head, sizeof(head)), err);
}

static bool put_text(struct t2c_bytes *out, const char *text, struct t2c_error *err)
{
    uint8_t head[9];
    size_t len = strlen(text);
    return t2c_bytes_append(out, head, cbor_encode_string_start(len, head, sizeof(head)), err) &&
        t2c_bytes_append(out, text, len, err);
}

static bool put_entry(struct t2c_bytes *out, const struct state_entry *entry, struct t2c_error *err)
{
    uint64_t success_s = entry->last_success_s > 0 ? (uint64_t)entry->last_success_s : 0;
    return put_text(out, entry->name, err) && put_map(out, 4, err) && put_text(out, "renewals", err) &&
        put_uint(out, entry->renewals, err) && put_text(out, "last_success_s", err) && put_uint(out, success_s, err) &&
        put_text(out, "failures", err) && put_uint(out, entry->failures, err) && put_text(out, "last_error", err) &&
        put_text(out, entry->last_error, err);
}

bool state_encode(const struct state *state, struct t2c_bytes *out, struct t2c_error *err)
{
    if (!put_map(out, 2, err) || !put_text(out, "version", err) || !put_uint(out, VERSION, err) ||
        !put_text(out, "certificates", err) || !put_map(out, state->entries_n, err))
        return false;
    for (size_t i = 0; i < state->entries_n; i++)
        if (!put_entry(out, &state->entries[i], err))
            return false;
    return true;
}

/* ---- reading ---- */

enum item_type { ITEM_OTHER, ITEM_UINT, ITEM_TEXT, ITEM_MAP };

struct item {
    enum item_type type;
    uint64_t number; /* value, or pairs of a map */
    const uint8_t *text;
    size_t text_len;
};

struct reader {
    const uint8_t *data;
    size_t data_len, at;
};

static void take_uint(struct item *item, uint64_t value)
{
    item->type = ITEM_UINT;
    item->number = value;
}

static void on_uint8(void *item, uint8_t value)
{
    take_uint(item, value);
}

static void on_uint16(void *item, uint16_t value)
{
    take_uint(item, value);
}

static void on_uint32(void *item, uint32_t value)
{
    take_uint(item, value);
}

static void on_uint64(void *item, uint64_t value)
{
    take_uint(item, value);
}

/* libcbor 0.10 widened the lengths that it reports. */
#if CBOR_MAJOR_VERSION > 0 || CBOR_MINOR_VERSION >= 10
typedef uint64_t cbor_length;
#else
typedef size_t cbor_length;
#endif

static void on_text(void *context, cbor_data text, cbor_length len)
{
    struct item *item = context;
    item->type = ITEM_TEXT;
    item->text = text;
    item->text_len = (size_t)len;
}

static void on_map(void *context, cbor_length pairs)
{
    struct item *item = context;
    item->type = ITEM_MAP;
    item->number = pairs;
}

static bool refuse(const struct reader *reader, const char *why, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "%s at byte %zu", why, reader->at);
}

static bool next(struct reader *reader, enum item_type type, struct item *out, struct t2c_error *err)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.uint8 = on_uint8;
    callbacks.uint16 = on_uint16;
    callbacks.uint32 = on_uint32;
    callbacks.uint64 = on_uint64;
    callbacks.string = on_text;
    callbacks.map_start = on_map;
    *out = (struct item){0};
    struct cbor_decoder_result result =
        cbor_stream_decode(reader->data + reader->at, reader->data_len - reader->at, &callbacks, out);
    if (result.status != CBOR_DECODER_FINISHED || out->type != type)
        return refuse(reader, "not what belongs there", err);
    reader->at += result.read;
    return true;
}

static bool read_key(struct reader *reader, const char *name, struct t2c_error *err)
{
    struct item item;
    if (!next(reader, ITEM_TEXT, &item, err))
        return false;
    if (item.text_len == strlen(name) && memcmp(item.text, name, item.text_len) == 0)
        return true;
    return t2c_fail(err, T2C_INVALID, "key \"%s\" missing before byte %zu", name, reader->at);
}

static bool read_text(struct reader *reader, char *out, size_t out_len, struct t2c_error *err)
{
    struct item item;
    if (!next(reader, ITEM_TEXT, &item, err))
        return false;
    if (item.text_len >= out_len || (item.text_len > 0 && memchr(item.text, '\0', item.text_len) != NULL))
        return refuse(reader, "a text that is too long or has a NUL ends", err);
    if (item.text_len > 0)
        memcpy(out, item.text, item.text_len);
    out[item.text_len] = '\0';
    return true;
}

static bool read_number(struct reader *reader, const char *name, uint64_t *out, struct t2c_error *err)
{
    struct item item;
    if (!read_key(reader, name, err) || !next(reader, ITEM_UINT, &item, err))
        return false;
    if (item.number > INT64_MAX)
        return refuse(reader, "a number out of range ends", err);
    *out = item.number;
    return true;
}

static bool read_map(struct reader *reader, size_t pairs_max, size_t *pairs, struct t2c_error *err)
{
    struct item item;
    if (!next(reader, ITEM_MAP, &item, err))
        return false;
    if (item.number > pairs_max)
        return refuse(reader, "too many entries announced", err);
    *pairs = (size_t)item.number;
    return true;
}

static bool read_entry(struct reader *reader, struct state *state, struct t2c_error *err)
{
    char name[STATE_NAME_MAX + 1];
    size_t pairs = 0, before = state->entries_n;
    uint64_t success_s = 0;
    if (!read_text(reader, name, sizeof(name), err) || !read_map(reader, 4, &pairs, err))
        return false;
    struct state_entry *entry = state_entry(state, name);
    if (entry == NULL)
        return t2c_fail_nomem(err);
    if (pairs != 4 || state->entries_n == before)
        return refuse(reader, "a doubled or incomplete entry", err);
    if (!read_number(reader, "renewals", &entry->renewals, err) ||
        !read_number(reader, "last_success_s", &success_s, err) ||
        !read_number(reader, "failures", &entry->failures, err) || !read_key(reader, "last_error", err) ||
        !read_text(reader, entry->last_error, sizeof(entry->last_error), err))
        return false;
    entry->last_success_s = (int64_t)success_s;
    return true;
}

static bool decode(struct reader *reader, struct state *state, struct t2c_error *err)
{
    size_t pairs = 0, entries = 0;
    uint64_t version = 0;
    if (!read_map(reader, 2, &pairs, err) || !read_number(reader, "version", &version, err))
        return false;
    if (version != VERSION)
        return t2c_fail(
            err, T2C_INVALID, "version %llu, and this program knows %d", (unsigned long long)version, VERSION);
    if (pairs != 2)
        return refuse(reader, "certificates missing", err);
    if (!read_key(reader, "certificates", err) || !read_map(reader, STATE_ENTRIES_MAX, &entries, err))
        return false;
    for (size_t i = 0; i < entries; i++)
        if (!read_entry(reader, state, err))
            return false;
    return reader->at == reader->data_len || refuse(reader, "trailing bytes", err);
}

bool state_decode(const void *data, size_t data_len, struct state *out, struct t2c_error *err)
{
    struct reader reader = {.data = data, .data_len = data_len};
    T2C_CLEANUP(state_fini) struct state state = {0};
    if (!decode(&reader, &state, err))
        return false;
    *out = state;
    state = (struct state){0};
    return true;
}

/* ---- the file ---- */

bool state_save(const struct state *state, const char *dir, struct t2c_error *err)
{
    static const struct t2c_file_owner owner = {.mode = 0640, .uid = (uid_t)-1, .gid = (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    return state_encode(state, &data, err) && t2c_bytes_printf(&path, err, "%s/" STATE_FILE, dir) &&
        t2c_file_replace((const char *)path.data, data.data, data.len, &owner, err);
}

/* Takes the damaged file out of the way. */
static bool set_aside(const char *path, const char *why, struct t2c_error *note, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes damaged = {0};
    if (!t2c_bytes_printf(&damaged, err, "%s.damaged", path))
        return false;
    if (rename(path, (const char *)damaged.data) != 0)
        return t2c_fail_errno(err, errno, "%s is damaged (%s) and cannot be renamed", path, why);
    t2c_fail(note, T2C_INVALID, "%s is not readable (%s); it is set aside as %s and statistics begin anew", path, why,
        (const char *)damaged.data);
    return true;
}

bool state_load(const char *dir, struct state *out, struct t2c_error *note, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct t2c_error why = {0};
    *note = (struct t2c_error){0};
    if (!t2c_bytes_printf(&path, err, "%s/" STATE_FILE, dir))
        return false;
    *out = (struct state){0};
    if (!t2c_file_read((const char *)path.data, FILE_MAX, &data, &why)) {
        if (why.code == T2C_NOT_FOUND)
            return true;
        if (why.code != T2C_INVALID)
            return t2c_fail(err, why.code, "%s", why.text);
        return set_aside((const char *)path.data, why.text, note, err);
    }
    return state_decode(data.data, data.len, out, &why) || set_aside((const char *)path.data, why.text, note, err);
}
