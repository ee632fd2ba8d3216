/*
 * Every function of libaziot_keys, called as the input says: which one with which key, with data that is there, that is NULL,
 * that is empty and nowhere, or that claims to be longer than memory; answers into no buffer, into one of the size that was
 * told, or of any other, with the sanitizer behind its end.
 */
#include "../../aziot/settings.h"

#include "aziot.h"
#include "tpm2cloud/own.h"

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;

/* What is left of the input. */
static const uint8_t *at, *end;

static uint8_t take(void)
{
    return at < end ? *at++ : 0;
}

/* Data as a caller gives it. */
struct slice {
    const uint8_t *data;
    uintptr_t len;
};

static struct slice take_slice(void)
{
    uint8_t kind = take();
    size_t len = kind & 0x7f;
    if (kind < 0x80) {
        if (len > (size_t)(end - at))
            len = (size_t)(end - at);
        at += len;
        return (struct slice){at - len, len};
    }
    switch (kind & 3) {
    case 0:
        return (struct slice){NULL, len};
    case 1:
        return (struct slice){(const uint8_t *)1, 0};
    case 2:
        return (struct slice){(const uint8_t *)1, SIZE_MAX - len};
    default:
        return (struct slice){(const uint8_t *)1, (size_t)1 << (sizeof(size_t) * 8 - 1) | len};
    }
}

static const char *take_id(void)
{
    uint8_t which = take();
    return which == 0xff ? NULL : aziot_ids[which % aziot_ids_n];
}

/* One question, which is asked twice as keyd does, and once as it does not. */
struct question {
    unsigned fn;
    const char *id;
    unsigned mechanism;
    const void *parameters;
    struct slice in;
};

static unsigned ask(const struct question *q, uint8_t *out, uintptr_t *len)
{
    switch (q->fn) {
    case 0:
        return keys->sign(q->id, q->mechanism, q->parameters, q->in.data, q->in.len, out, len);
    case 1:
        return keys->encrypt(q->id, q->mechanism, q->parameters, q->in.data, q->in.len, out, len);
    case 2:
        return keys->decrypt(q->id, q->mechanism, q->parameters, q->in.data, q->in.len, out, len);
    case 3:
        return keys->derive_key(q->id, q->in.data, q->in.len, out, len);
    default:
        return keys->get_key_pair_parameter(q->id, q->mechanism, out, len);
    }
}

/* Asks with a buffer of CAP bytes. */
static void ask_with(const struct question *q, size_t cap, size_t told)
{
    uint8_t *out = malloc(cap > 0 ? cap : 1);
    uintptr_t len = cap;
    assert(out != NULL);
    if (aziot_is_ok(ask(q, out, &len)))
        assert(len <= cap && len <= told);
    free(out);
}

static void ask_all(const struct question *q)
{
    uintptr_t told = take();
    assert(!aziot_is_ok(ask(q, NULL, NULL)));
    if (!aziot_is_ok(ask(q, NULL, &told)))
        told = 64;
    else
        assert(told <= 1024 || told <= q->in.len + 64);
    ask_with(q, told, told);
    size_t cap = take();
    ask_with(q, cap, told > cap ? told : cap);
}

/* The parameters that MECHANISM has, or those that it has not. */
static void question(void)
{
    const struct slice iv = take_slice(), aad = take_slice(), data = take_slice();
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {iv.data, iv.len, aad.data, aad.len};
    const uint8_t nested = take();
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS encrypts = {
        data.data, data.len, nested % 6, nested < 0x80 ? &aead : NULL};
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS signs = {data.data, data.len, nested % 6, NULL};
    struct question q = {.fn = take() % 5, .id = take_id(), .mechanism = take() % 7};
    q.in = take_slice();
    if (q.fn == 0 && q.mechanism == AZIOT_KEYS_SIGN_MECHANISM_DERIVED)
        q.parameters = &signs;
    else if (q.mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED)
        q.parameters = &encrypts;
    else
        q.parameters = &aead;
    if (take() == 0xff)
        q.parameters = NULL;
    ask_all(&q);
}

static void verify(void)
{
    const char *id = take_id();
    const struct slice in = take_slice(), sig = take_slice();
    int good = -1;
    if (aziot_is_ok(keys->verify(id, take() % 5, NULL, in.data, in.len, sig.data, sig.len, &good)))
        assert(good == 0 || good == 1);
    assert(!aziot_is_ok(keys->verify(id, 2, NULL, in.data, in.len, sig.data, sig.len, NULL)));
}

static void take_text(char *out, size_t out_len)
{
    struct slice text = take_slice();
    size_t len = text.len < out_len && text.data != NULL ? text.len : 0;
    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

/* In settings of their own: those of the process are what its keys hang on. */
static void set_parameters(void)
{
    T2C_CLEANUP(settings_fini) struct settings settings = {0};
    char name[128], value[128];
    struct t2c_error err = {0};
    for (int i = 0; i < 4; i++) {
        take_text(name, sizeof(name));
        take_text(value, sizeof(value));
        if (strcmp(name, "tpm2cloud_tcti") != 0 && !settings_set(&settings, name, value, &err))
            assert_refused(&err);
    }
    aziot_is_ok(keys->set_parameter(NULL, value));
    aziot_is_ok(keys->set_parameter(name, NULL));
}

/* What makes, brings in, moves and removes keys. */
static void change(void)
{
    char text[64];
    uint8_t which = take();
    const char *id = take_id();
    const struct slice bytes = take_slice();
    take_text(text, sizeof(text));
    switch (which % 8) {
    case 0:
        aziot_is_ok(keys->create_key_pair_if_not_exists(id, which < 0x80 ? text : NULL));
        break;
    case 1:
        aziot_is_ok(keys->create_key_if_not_exists(id, take()));
        break;
    case 2:
        aziot_is_ok(keys->import_key(id, bytes.data, bytes.len, take()));
        break;
    case 3:
        aziot_is_ok(keys->move_key_pair(id, which < 0x80 ? take_id() : text));
        break;
    case 4:
        aziot_is_ok(keys->delete_key_pair(id));
        break;
    case 5:
        aziot_is_ok(keys->delete_key(id));
        break;
    case 6:
        aziot_is_ok(keys->load_key_pair(which < 0x80 ? id : text));
        break;
    default:
        aziot_is_ok(keys->load_key(which < 0x80 ? id : text));
        break;
    }
    if (which % 8 < 6)
        aziot_restore();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    if (keys == NULL)
        keys = aziot_setup();
    at = data;
    end = data + data_len;
    for (int i = 0; i < 8 && at < end; i++) {
        uint8_t what = take();
        if (what < 0xa0)
            question();
        else if (what < 0xc0)
            verify();
        else if (what < 0xe0)
            set_parameters();
        else
            change();
    }
    return 0;
}
