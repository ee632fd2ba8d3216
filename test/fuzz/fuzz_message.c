/*
 * What comes over the control socket: requests as estd reads them, replies and events as the command line does, one behind
 * the other. What is read is written again, and that reads as the same; a message that is only cut off says so.
 */
#include "tpm2cloud/message.h"

#include "fuzz.h"

typedef bool encode_fn(const void *message, struct t2c_bytes *out, struct t2c_error *err);
typedef bool decode_fn(struct t2c_cbor *from, void *out, struct t2c_error *err);

static bool encode_request(const void *message, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_request_encode(message, out, err);
}

static bool decode_request(struct t2c_cbor *from, void *out, struct t2c_error *err)
{
    return t2c_request_decode(from, out, err);
}

static bool encode_reply(const void *message, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_reply_encode(message, out, err);
}

static bool decode_reply(struct t2c_cbor *from, void *out, struct t2c_error *err)
{
    return t2c_reply_decode(from, out, err);
}

static void assert_writes_again(encode_fn *encode, decode_fn *decode, const void *message, void *room)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes first = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes second = {0};
    struct t2c_error err = {0};
    assert(encode(message, &first, &err));
    struct t2c_cbor from = {.data = first.data, .len = first.len};
    assert(decode(&from, room, &err) && from.at == from.len);
    assert(encode(room, &second, &err));
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    from = (struct t2c_cbor){.data = first.data, .len = first.len - 1};
    assert(!decode(&from, room, &err) && from.cut);
}

static void read_all(const uint8_t *data, size_t data_len, encode_fn *encode, decode_fn *decode, void *one, void *two)
{
    struct t2c_cbor from = {.data = data, .len = data_len};
    while (from.at < from.len) {
        struct t2c_error err = {0};
        size_t before = from.at;
        if (!decode(&from, one, &err)) {
            assert(err.code == T2C_INVALID);
            assert_refused(&err);
            return;
        }
        assert(from.at > before);
        assert_writes_again(encode, decode, one, two);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    struct t2c_request requests[2];
    struct t2c_reply replies[2];
    read_all(data, data_len, encode_request, decode_request, &requests[0], &requests[1]);
    read_all(data, data_len, encode_reply, decode_reply, &replies[0], &replies[1]);
    return 0;
}
