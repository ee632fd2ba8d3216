/*
 * A call is a value, so that another thread can make it. Spec: reference of the interface in aziot/aziot_keys.h; what is keyd's
 * own is said where it is done.
 */
#include "library.h"

#include "tpm2cloud/log.h"
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 keys; /* of version 2.0: neither moves nor removes */

static const char *const verbs[] = {
    [LIBRARY_SET] = "set parameter",
    [LIBRARY_CREATE_PAIR] = "create key pair",
    [LIBRARY_MOVE_PAIR] = "move key pair",
    [LIBRARY_LOAD_PAIR] = "load key pair",
    [LIBRARY_PARAMETER] = "get key pair parameter",
    [LIBRARY_DELETE_PAIR] = "delete key pair",
    [LIBRARY_CREATE] = "create key",
    [LIBRARY_LOAD] = "load key",
    [LIBRARY_IMPORT] = "import key",
    [LIBRARY_DELETE] = "delete key",
    [LIBRARY_DERIVE] = "derive key",
    [LIBRARY_SIGN] = "sign",
    [LIBRARY_VERIFY] = "verify",
    [LIBRARY_ENCRYPT] = "encrypt",
    [LIBRARY_DECRYPT] = "decrypt",
};

struct rc_text {
    char text[40];
};

static struct rc_text rc_text(unsigned rc)
{
    struct rc_text out;
    if (rc == AZIOT_KEYS_RC_ERR_INVALID_PARAMETER)
        return (struct rc_text){"AZIOT_KEYS_RC_ERR_INVALID_PARAMETER"};
    if (rc == AZIOT_KEYS_RC_ERR_EXTERNAL)
        return (struct rc_text){"AZIOT_KEYS_RC_ERR_EXTERNAL"};
    snprintf(out.text, sizeof(out.text), "0x%08x", rc);
    return out;
}

/* ---- the list of functions ---- */

typedef void any_fn(void);

#define AT(version, function) offsetof(struct AZIOT_KEYS_FUNCTION_LIST_##version, function)
#define OF_BOTH(function) #function, AT(2_1_0_0, function), AT(2_0_0_0, function)
#define OF_2_1(function) #function, AT(2_1_0_0, function), 0

static const struct {
    const char *name;
    size_t at_2_1, at_2_0; /* 0: has none */
} functions[] = {
    {OF_BOTH(set_parameter)},
    {OF_BOTH(create_key_pair_if_not_exists)},
    {OF_2_1(move_key_pair)},
    {OF_BOTH(load_key_pair)},
    {OF_BOTH(get_key_pair_parameter)},
    {OF_2_1(delete_key_pair)},
    {OF_BOTH(create_key_if_not_exists)},
    {OF_BOTH(load_key)},
    {OF_BOTH(import_key)},
    {OF_2_1(delete_key)},
    {OF_BOTH(derive_key)},
    {OF_BOTH(sign)},
    {OF_BOTH(verify)},
    {OF_BOTH(encrypt)},
    {OF_BOTH(decrypt)},
};

/* The version that LIST says counts, and not the one that was asked for. */
static bool take_list(const struct AZIOT_KEYS_FUNCTION_LIST *list, struct t2c_error *err)
{
    bool newer = list->version == AZIOT_KEYS_VERSION_2_1_0_0;
    if (!newer && list->version != AZIOT_KEYS_VERSION_2_0_0_0)
        return t2c_fail(err, T2C_IO,
            "could not load libaziot-keys: library exports API version 0x%08x which is not supported", list->version);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        size_t at = newer ? functions[i].at_2_1 : functions[i].at_2_0;
        any_fn *function = NULL;
        if (at == 0)
            continue;
        memcpy(&function, (const char *)list + at, sizeof(function));
        if (function == NULL)
            return t2c_fail(err, T2C_IO, "could not load libaziot-keys: library does not define %s", functions[i].name);
        memcpy((char *)&keys + functions[i].at_2_1, &function, sizeof(function));
    }
    t2c_log(T2C_LOG_INFO, "loaded libaziot-keys with version 0x%08x", list->version);
    return true;
}

bool library_open(bool old, struct t2c_error *err)
{
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    unsigned rc = AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
    if (!old)
        rc = aziot_keys_get_function_list(AZIOT_KEYS_VERSION_2_1_0_0, &list);
    if (rc != AZIOT_KEYS_RC_OK)
        rc = aziot_keys_get_function_list(AZIOT_KEYS_VERSION_2_0_0_0, &list);
    if (rc != AZIOT_KEYS_RC_OK)
        return t2c_fail(err, T2C_IO, "could not load libaziot-keys: could not get function list: %s", rc_text(rc).text);
    return take_list(list, err);
}

/* ---- one call, on a thread of its own ---- */

struct job {
    const struct library_call *call;
    unsigned char *out;
    uintptr_t *out_len;
    int *good;
    unsigned rc;
};

/* What has no bytes has no address either: keyd gives one that must not be followed. */
static const unsigned char *address(const uint8_t *data, size_t data_len)
{
    return data_len > 0 ? data : (const unsigned char *)1;
}

static unsigned run_transform(aziot_keys_transform_fn *fn, const struct job *job)
{
    const struct library_call *call = job->call;
    return fn(call->id, call->number, call->parameters, address(call->in, call->in_len), call->in_len, job->out,
        job->out_len);
}

/* A library of version 2.0 seems to move and to remove. */
static unsigned run_newer(const struct library_call *call)
{
    if (keys.move_key_pair == NULL)
        return AZIOT_KEYS_RC_OK;
    if (call->fn == LIBRARY_MOVE_PAIR)
        return keys.move_key_pair(call->id, call->text);
    return call->fn == LIBRARY_DELETE_PAIR ? keys.delete_key_pair(call->id) : keys.delete_key(call->id);
}

static unsigned run(const struct job *job)
{
    const struct library_call *call = job->call;
    const unsigned char *in = address(call->in, call->in_len);
    switch (call->fn) {
    case LIBRARY_SET:
        return keys.set_parameter(call->id, call->text);
    case LIBRARY_CREATE_PAIR:
        return keys.create_key_pair_if_not_exists(call->id, call->text);
    case LIBRARY_LOAD_PAIR:
        return keys.load_key_pair(call->id);
    case LIBRARY_PARAMETER:
        return keys.get_key_pair_parameter(call->id, call->number, job->out, job->out_len);
    case LIBRARY_CREATE:
        return keys.create_key_if_not_exists(call->id, call->number);
    case LIBRARY_LOAD:
        return keys.load_key(call->id);
    case LIBRARY_IMPORT:
        return keys.import_key(call->id, in, call->in_len, call->number);
    case LIBRARY_DERIVE:
        return keys.derive_key(call->id, in, call->in_len, job->out, job->out_len);
    case LIBRARY_SIGN:
        return run_transform(keys.sign, job);
    case LIBRARY_VERIFY:
        return keys.verify(call->id, call->number, call->parameters, in, call->in_len,
            address(call->signature, call->signature_len), call->signature_len, job->good);
    case LIBRARY_ENCRYPT:
        return run_transform(keys.encrypt, job);
    case LIBRARY_DECRYPT:
        return run_transform(keys.decrypt, job);
    case LIBRARY_MOVE_PAIR:
    case LIBRARY_DELETE_PAIR:
    case LIBRARY_DELETE:
        break;
    }
    return run_newer(call);
}

static void *in_thread(void *data)
{
    struct job *job = data;
    job->rc = run(job);
    return NULL;
}

static bool make(struct job *job, struct t2c_error *err)
{
    const struct library_call *call = job->call;
    pthread_t thread;
    int failure = pthread_create(&thread, NULL, in_thread, job);
    if (failure != 0)
        return t2c_fail_errno(err, failure, "cannot start a thread");
    pthread_join(thread, NULL);
    if (job->rc == AZIOT_KEYS_RC_OK)
        return true;
    enum t2c_code code = job->rc == AZIOT_KEYS_RC_ERR_INVALID_PARAMETER ? T2C_INVALID : T2C_IO;
    if (call->fn == LIBRARY_SET)
        return t2c_fail(err, code, "could not set %s parameter on library: %s", call->id, rc_text(job->rc).text);
    return t2c_fail(err, code, "could not %s: %s", verbs[call->fn], rc_text(job->rc).text);
}

/* ---- what is asked for ---- */

const unsigned char *library_address(const struct t2c_bytes *bytes)
{
    return address(bytes->data, bytes->len);
}

bool library_do(const struct library_call *call, struct t2c_error *err)
{
    struct job job = {.call = call};
    return make(&job, err);
}

bool library_answer(const struct library_call *call, struct t2c_bytes *out, struct t2c_error *err)
{
    uintptr_t len = 0;
    struct job job = {.call = call, .out_len = &len};
    if (!make(&job, err))
        return false;
    const size_t room = len;
    T2C_CLEANUP(t2c_freep) unsigned char *buffer = calloc(1, room > 0 ? room : 1);
    if (buffer == NULL)
        return t2c_fail_nomem(err);
    job.out = buffer;
    if (!make(&job, err))
        return false;
    if (len > room)
        abort(); /* as keyd does */
    /* Nor does keyd look whether a parameter became shorter. */
    return t2c_bytes_append(out, buffer, call->fn == LIBRARY_PARAMETER ? room : len, err);
}

bool library_verify(const struct library_call *call, bool *good, struct t2c_error *err)
{
    int answer = 0;
    struct job job = {.call = call, .good = &answer};
    if (!make(&job, err))
        return false;
    *good = answer != 0;
    return true;
}

bool library_algorithm(const char *id, const char **name, struct t2c_error *err)
{
    unsigned algorithm = 0;
    uintptr_t len = sizeof(algorithm);
    const struct library_call call = {
        .fn = LIBRARY_PARAMETER, .id = id, .number = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM};
    struct job job = {.call = &call, .out = (unsigned char *)&algorithm, .out_len = &len};
    if (!make(&job, err))
        return false;
    if (len != sizeof(algorithm) || algorithm < AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC ||
        algorithm > AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA)
        return t2c_fail(
            err, T2C_IO, "could not get key pair parameter: algorithm %u of %zu bytes", algorithm, (size_t)len);
    *name = algorithm == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC ? "ECDSA" : "RSA";
    return true;
}
