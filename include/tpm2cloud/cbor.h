/*
 * CBOR (RFC 8949) as our files and sockets have it: a struct is a map, by a table of its fields. Definite lengths only,
 * each bounded; nothing is allocated on the say-so of the input. Pure.
 */
#ifndef TPM2CLOUD_CBOR_H
#define TPM2CLOUD_CBOR_H

#include "tpm2cloud/bytes.h"

enum t2c_cbor_kind {
    T2C_CBOR_NUMBER, /* uint64_t or int64_t, at most INT64_MAX */
    T2C_CBOR_BOOL,   /* bool */
    T2C_CBOR_TEXT,   /* char[size], t2c_text_is_clean */
    T2C_CBOR_OCTETS, /* uint8_t[size], all of them */
    T2C_CBOR_BYTES,  /* struct t2c_bytes, of size bytes at most */
    T2C_CBOR_STRUCT  /* a struct of fields[size] */
};

struct t2c_cbor_field {
    const char *name;
    enum t2c_cbor_kind kind;
    size_t offset, size;
    const struct t2c_cbor_field *fields; /* T2C_CBOR_STRUCT */
};

#define T2C_CBOR_FIELD(type, member, name, kind)                              \
    {                                                                         \
        name, kind, offsetof(type, member), sizeof(((type *)0)->member), NULL \
    }
#define T2C_CBOR_BYTES_FIELD(type, member, name, max)           \
    {                                                           \
        name, T2C_CBOR_BYTES, offsetof(type, member), max, NULL \
    }
#define T2C_CBOR_FIELDS_MAX 32

/* ---- writing: each appends to OUT ---- */

bool t2c_cbor_put_map(struct t2c_bytes *out, size_t pairs, struct t2c_error *err);
bool t2c_cbor_put_array(struct t2c_bytes *out, size_t items, struct t2c_error *err);
bool t2c_cbor_put_text(struct t2c_bytes *out, const char *text, struct t2c_error *err);
bool t2c_cbor_put_number(struct t2c_bytes *out, uint64_t number, struct t2c_error *err);

/* Appends the map of the struct at DATA. Fields that are zero, false or empty are left out. */
bool t2c_cbor_put_struct(struct t2c_bytes *out, const struct t2c_cbor_field *fields, size_t fields_n, const void *data,
    struct t2c_error *err);

/* ---- reading ---- */

/* Where a reader is. The buffer stays the caller's. */
struct t2c_cbor {
    const uint8_t *data;
    size_t len, at;
    bool cut; /* reading failed because the buffer ends; with more of it, it may succeed */
};

/* Each reads the item that comes next. Errors: INVALID, saying at which byte. */
bool t2c_cbor_read_map(struct t2c_cbor *from, size_t pairs_max, size_t *pairs, struct t2c_error *err);
bool t2c_cbor_read_array(struct t2c_cbor *from, size_t items, struct t2c_error *err);
bool t2c_cbor_read_text(struct t2c_cbor *from, char *out, size_t out_len, struct t2c_error *err);
bool t2c_cbor_read_number(struct t2c_cbor *from, uint64_t *out, struct t2c_error *err);
/* The text NAME and nothing else. */
bool t2c_cbor_read_key(struct t2c_cbor *from, const char *name, struct t2c_error *err);

/*
 * Reads a map of the struct at DATA, which must be all zero: known fields in any order, none twice; those that are
 * missing stay zero.
 */
bool t2c_cbor_read_struct(
    struct t2c_cbor *from, const struct t2c_cbor_field *fields, size_t fields_n, void *data, struct t2c_error *err);

/* Fails where the reader is, with WHY: "... at byte N". Returns false. */
bool t2c_cbor_refuse(const struct t2c_cbor *from, const char *why, struct t2c_error *err);

#endif
