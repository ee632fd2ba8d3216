/*
 * Item by item with libcbor's streaming half, which allocates nothing.
 */
#include "tpm2cloud/cbor.h"

#include "tpm2cloud/text.h"
#include <assert.h>
#include <cbor.h>
#include <string.h>

#define HEAD_MAX 9

/* ---- writing ---- */

typedef size_t encode_fn(size_t value, unsigned char *head, size_t head_len);

static bool put_head(struct t2c_bytes *out, encode_fn *encode, size_t value, struct t2c_error *err)
{
    uint8_t head[HEAD_MAX];
    return t2c_bytes_append(out, head, encode(value, head, sizeof(head)), err);
}

bool t2c_cbor_put_map(struct t2c_bytes *out, size_t pairs, struct t2c_error *err)
{
    return put_head(out, cbor_encode_map_start, pairs, err);
}

bool t2c_cbor_put_array(struct t2c_bytes *out, size_t items, struct t2c_error *err)
{
    return put_head(out, cbor_encode_array_start, items, err);
}

bool t2c_cbor_put_text(struct t2c_bytes *out, const char *text, struct t2c_error *err)
{
    size_t len = strlen(text);
    return put_head(out, cbor_encode_string_start, len, err) && t2c_bytes_append(out, text, len, err);
}

bool t2c_cbor_put_number(struct t2c_bytes *out, uint64_t number, struct t2c_error *err)
{
    uint8_t head[HEAD_MAX];
    return t2c_bytes_append(out, head, cbor_encode_uint(number, head, sizeof(head)), err);
}

static bool put_bool(struct t2c_bytes *out, bool value, struct t2c_error *err)
{
    uint8_t head[HEAD_MAX];
    return t2c_bytes_append(out, head, cbor_encode_bool(value, head, sizeof(head)), err);
}

static bool put_octets(struct t2c_bytes *out, const void *octets, size_t len, struct t2c_error *err)
{
    return put_head(out, cbor_encode_bytestring_start, len, err) && t2c_bytes_append(out, octets, len, err);
}

static uint64_t number_at(const void *place)
{
    uint64_t number = 0;
    memcpy(&number, place, sizeof(number));
    return number;
}

static bool is_zero(const uint8_t *octets, size_t len)
{
    while (len > 0 && *octets == 0) {
        octets++;
        len--;
    }
    return len == 0;
}

static bool is_left_out(const struct t2c_cbor_field *field, const void *place)
{
    if (field->kind == T2C_CBOR_STRUCT)
        return false;
    if (field->kind == T2C_CBOR_BYTES)
        return ((const struct t2c_bytes *)place)->len == 0;
    return field->kind == T2C_CBOR_TEXT ? *(const char *)place == '\0' : is_zero(place, field->size);
}

static bool put_value(
    struct t2c_bytes *out, const struct t2c_cbor_field *field, const void *place, struct t2c_error *err)
{
    const struct t2c_bytes *bytes = place;
    switch (field->kind) {
    case T2C_CBOR_BYTES:
        return put_octets(out, bytes->data, bytes->len, err);
    case T2C_CBOR_NUMBER:
        return t2c_cbor_put_number(out, number_at(place), err);
    case T2C_CBOR_BOOL:
        return put_bool(out, *(const bool *)place, err);
    case T2C_CBOR_TEXT:
        return t2c_cbor_put_text(out, place, err);
    case T2C_CBOR_OCTETS:
        return put_octets(out, place, field->size, err);
    case T2C_CBOR_STRUCT:
        return t2c_cbor_put_struct(out, field->fields, field->size, place, err);
    }
    return false;
}

bool t2c_cbor_put_struct(struct t2c_bytes *out, const struct t2c_cbor_field *fields, size_t fields_n, const void *data,
    struct t2c_error *err)
{
    const uint8_t *base = data;
    size_t pairs = 0;
    for (size_t i = 0; i < fields_n; i++)
        pairs += !is_left_out(&fields[i], base + fields[i].offset);
    if (!t2c_cbor_put_map(out, pairs, err))
        return false;
    for (size_t i = 0; i < fields_n; i++) {
        const void *place = base + fields[i].offset;
        if (is_left_out(&fields[i], place))
            continue;
        if (!t2c_cbor_put_text(out, fields[i].name, err) || !put_value(out, &fields[i], place, err))
            return false;
    }
    return true;
}

/* ---- reading ---- */

enum item_type { ITEM_OTHER, ITEM_NUMBER, ITEM_BOOL, ITEM_TEXT, ITEM_OCTETS, ITEM_MAP, ITEM_ARRAY };

struct item {
    enum item_type type;
    uint64_t number; /* value, or how many a map or an array holds */
    const uint8_t *octets;
    size_t octets_len;
};

static void take_number(struct item *item, uint64_t value)
{
    item->type = ITEM_NUMBER;
    item->number = value;
}

static void on_uint8(void *item, uint8_t value)
{
    take_number(item, value);
}

static void on_uint16(void *item, uint16_t value)
{
    take_number(item, value);
}

static void on_uint32(void *item, uint32_t value)
{
    take_number(item, value);
}

static void on_uint64(void *item, uint64_t value)
{
    take_number(item, value);
}

static void on_bool(void *context, bool value)
{
    struct item *item = context;
    item->type = ITEM_BOOL;
    item->number = value;
}

/* libcbor 0.10 widened the lengths that it reports. */
#if CBOR_MAJOR_VERSION > 0 || CBOR_MINOR_VERSION >= 10
typedef uint64_t cbor_length;
#else
typedef size_t cbor_length;
#endif

static void take_octets(struct item *item, enum item_type type, cbor_data octets, cbor_length len)
{
    item->type = type;
    item->octets = octets;
    item->octets_len = (size_t)len;
}

static void on_text(void *item, cbor_data text, cbor_length len)
{
    take_octets(item, ITEM_TEXT, text, len);
}

static void on_octets(void *item, cbor_data octets, cbor_length len)
{
    take_octets(item, ITEM_OCTETS, octets, len);
}

static void on_map(void *context, cbor_length pairs)
{
    struct item *item = context;
    item->type = ITEM_MAP;
    item->number = pairs;
}

static void on_array(void *context, cbor_length items)
{
    struct item *item = context;
    item->type = ITEM_ARRAY;
    item->number = items;
}

bool t2c_cbor_refuse(const struct t2c_cbor *from, const char *why, struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "%s at byte %zu", why, from->at);
}

static bool next(struct t2c_cbor *from, enum item_type type, struct item *out, struct t2c_error *err)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.uint8 = on_uint8;
    callbacks.uint16 = on_uint16;
    callbacks.uint32 = on_uint32;
    callbacks.uint64 = on_uint64;
    callbacks.boolean = on_bool;
    callbacks.string = on_text;
    callbacks.byte_string = on_octets;
    callbacks.map_start = on_map;
    callbacks.array_start = on_array;
    *out = (struct item){0};
    struct cbor_decoder_result result =
        cbor_stream_decode(from->data + from->at, from->len - from->at, &callbacks, out);
    from->cut = result.status == CBOR_DECODER_NEDATA;
    if (from->cut)
        return t2c_cbor_refuse(from, "cut off", err);
    if (result.status != CBOR_DECODER_FINISHED || out->type != type)
        return t2c_cbor_refuse(from, "not what belongs there", err);
    from->at += result.read;
    return true;
}

bool t2c_cbor_read_map(struct t2c_cbor *from, size_t pairs_max, size_t *pairs, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_MAP, &item, err))
        return false;
    if (item.number > pairs_max)
        return t2c_cbor_refuse(from, "too many entries announced", err);
    *pairs = (size_t)item.number;
    return true;
}

bool t2c_cbor_read_array(struct t2c_cbor *from, size_t items, struct t2c_error *err)
{
    struct item item;
    return next(from, ITEM_ARRAY, &item, err) &&
        (item.number == items || t2c_cbor_refuse(from, "an array of another length", err));
}

bool t2c_cbor_read_text(struct t2c_cbor *from, char *out, size_t out_len, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_TEXT, &item, err))
        return false;
    if (item.octets_len >= out_len)
        return t2c_cbor_refuse(from, "a text that is too long ends", err);
    if (!t2c_text_is_clean(item.octets, item.octets_len))
        return t2c_cbor_refuse(from, "a text that is not UTF-8, or has control characters, ends", err);
    if (item.octets_len > 0)
        memcpy(out, item.octets, item.octets_len);
    out[item.octets_len] = '\0';
    return true;
}

bool t2c_cbor_read_number(struct t2c_cbor *from, uint64_t *out, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_NUMBER, &item, err))
        return false;
    if (item.number > INT64_MAX)
        return t2c_cbor_refuse(from, "a number out of range ends", err);
    *out = item.number;
    return true;
}

bool t2c_cbor_read_key(struct t2c_cbor *from, const char *name, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_TEXT, &item, err))
        return false;
    if (item.octets_len == strlen(name) && memcmp(item.octets, name, item.octets_len) == 0)
        return true;
    return t2c_fail(err, T2C_INVALID, "key \"%s\" missing before byte %zu", name, from->at);
}

static bool read_bool(struct t2c_cbor *from, bool *out, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_BOOL, &item, err))
        return false;
    *out = item.number != 0;
    return true;
}

static bool read_octets(struct t2c_cbor *from, uint8_t *out, size_t out_len, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_OCTETS, &item, err))
        return false;
    if (item.octets_len != out_len)
        return t2c_cbor_refuse(from, "octets of another length end", err);
    memcpy(out, item.octets, out_len);
    return true;
}

static bool read_bytes(struct t2c_cbor *from, struct t2c_bytes *out, size_t max_len, struct t2c_error *err)
{
    struct item item;
    if (!next(from, ITEM_OCTETS, &item, err))
        return false;
    if (item.octets_len > max_len)
        return t2c_cbor_refuse(from, "octets that are too many end", err);
    return t2c_bytes_append(out, item.octets, item.octets_len, err);
}

static bool read_value(struct t2c_cbor *from, const struct t2c_cbor_field *field, void *place, struct t2c_error *err)
{
    uint64_t number = 0;
    switch (field->kind) {
    case T2C_CBOR_NUMBER:
        if (!t2c_cbor_read_number(from, &number, err))
            return false;
        memcpy(place, &number, sizeof(number));
        return true;
    case T2C_CBOR_BOOL:
        return read_bool(from, place, err);
    case T2C_CBOR_TEXT:
        return t2c_cbor_read_text(from, place, field->size, err);
    case T2C_CBOR_OCTETS:
        return read_octets(from, place, field->size, err);
    case T2C_CBOR_BYTES:
        return read_bytes(from, place, field->size, err);
    case T2C_CBOR_STRUCT:
        return t2c_cbor_read_struct(from, field->fields, field->size, place, err);
    }
    return false;
}

/* Gives the index of the field that the next item names, or FIELDS_N. */
static size_t find_field(const struct item *name, const struct t2c_cbor_field *fields, size_t fields_n)
{
    size_t i = 0;
    while (i < fields_n &&
        (strlen(fields[i].name) != name->octets_len || memcmp(fields[i].name, name->octets, name->octets_len) != 0))
        i++;
    return i;
}

bool t2c_cbor_read_struct(
    struct t2c_cbor *from, const struct t2c_cbor_field *fields, size_t fields_n, void *data, struct t2c_error *err)
{
    assert(fields_n <= T2C_CBOR_FIELDS_MAX);
    uint32_t seen = 0;
    size_t pairs = 0;
    if (!t2c_cbor_read_map(from, fields_n, &pairs, err))
        return false;
    while (pairs-- > 0) {
        struct item name;
        if (!next(from, ITEM_TEXT, &name, err))
            return false;
        size_t i = find_field(&name, fields, fields_n);
        if (i == fields_n || (seen >> i & 1) != 0)
            return t2c_cbor_refuse(from, "a key that is unknown or stood there before ends", err);
        seen |= UINT32_C(1) << i;
        if (!read_value(from, &fields[i], (uint8_t *)data + fields[i].offset, err))
            return false;
    }
    return true;
}
