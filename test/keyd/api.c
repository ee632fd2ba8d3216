/*
 * A table of routes, each a function from a body to an answer. An error's code is the status: INVALID 400, AUTH 401, NOT_FOUND
 * 404, PROTO 422 (JSON that is not what the route wants), any other 500.
 */
#include "api.h"

#include "handle.h"
#include "library.h"
#include "tpm2cloud/log.h"
#include <microhttpd.h>
#include <string.h>

/* What a route works on, and its answer. */
struct exchange {
    const struct config *config;
    const struct request *request;
    const char *segment; /* the last one of the path, where the route ends in one */
    const json_t *body;
    json_t *answer; /* NULL: there is nothing to say */
};

T2C_DEFINE_FREEP(json_freep, json_t, json_decref)

/* ---- fields of a body ---- */

static bool missing(const char *name, struct t2c_error *err)
{
    return t2c_fail(err, T2C_PROTO, "missing or wrong field `%s`", name);
}

static bool text_of(const json_t *object, const char *name, const char **out, struct t2c_error *err)
{
    *out = json_string_value(json_object_get(object, name));
    return *out != NULL || missing(name, err);
}

static bool bytes_of(const json_t *object, const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    const char *text = NULL;
    return text_of(object, name, &text, err) &&
        (t2c_bytes_unbase64(out, text, strlen(text), err) || missing(name, err));
}

static bool handle_in(const struct exchange *exchange, struct handle *out, struct t2c_error *err)
{
    const char *text = NULL;
    return text_of(exchange->body, "keyHandle", &text, err) && handle_open(text, out, err);
}

static bool answer_bytes(
    struct exchange *exchange, const char *name, const struct t2c_bytes *value, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_bytes_base64(&text, value->data, value->len, 0, err))
        return false;
    exchange->answer = json_pack("{s:s}", name, text.data != NULL ? (const char *)text.data : "");
    return exchange->answer != NULL || t2c_fail_nomem(err);
}

/* ---- create, load, move, delete ---- */

static bool authorize(const struct exchange *exchange, const char *id, struct t2c_error *err)
{
    return config_allows(exchange->config, exchange->request->uid, id) ||
        t2c_fail(err, T2C_AUTH, "unauthorized: uid %u has no principal with the key %s",
            (unsigned)exchange->request->uid, id);
}

static bool answer_handle(struct exchange *exchange, enum handle_kind kind, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes handle = {0};
    if (!handle_make(kind, id, &handle, err))
        return false;
    exchange->answer = json_pack("{s:s}", "keyHandle", (const char *)handle.data);
    return exchange->answer != NULL || t2c_fail_nomem(err);
}

static bool create_pair(struct exchange *exchange, struct t2c_error *err)
{
    struct library_call call = {.fn = LIBRARY_CREATE_PAIR};
    call.text = json_string_value(json_object_get(exchange->body, "preferredAlgorithms"));
    return text_of(exchange->body, "keyId", &call.id, err) && authorize(exchange, call.id, err) &&
        library_do(&call, err) && answer_handle(exchange, HANDLE_PAIR, call.id, err);
}

static bool load_pair(struct exchange *exchange, struct t2c_error *err)
{
    const struct library_call call = {.fn = LIBRARY_LOAD_PAIR, .id = exchange->segment};
    return authorize(exchange, call.id, err) && library_do(&call, err) &&
        answer_handle(exchange, HANDLE_PAIR, call.id, err);
}

static bool move_pair(struct exchange *exchange, struct t2c_error *err)
{
    struct library_call call = {.fn = LIBRARY_MOVE_PAIR, .text = exchange->segment};
    if (!text_of(exchange->body, "from", &call.id, err))
        return false;
    if (strcmp(call.id, call.text) == 0)
        return t2c_fail(err, T2C_INVALID, "source and destination for move are identical");
    return authorize(exchange, call.id, err) && authorize(exchange, call.text, err) && library_do(&call, err);
}

static bool discard(const struct exchange *exchange, enum handle_kind kind, enum library_fn fn, struct t2c_error *err)
{
    T2C_CLEANUP(handle_fini) struct handle handle = {0};
    if (!handle_in(exchange, &handle, err))
        return false;
    const struct library_call call = {.fn = fn, .id = handle.id};
    return handle.kind == kind ? library_do(&call, err)
                               : t2c_fail(err, T2C_INVALID, "the handle is for a key of another kind");
}

static bool delete_pair(struct exchange *exchange, struct t2c_error *err)
{
    return discard(exchange, HANDLE_PAIR, LIBRARY_DELETE_PAIR, err);
}

static bool delete_key(struct exchange *exchange, struct t2c_error *err)
{
    return discard(exchange, HANDLE_KEY, LIBRARY_DELETE, err);
}

static bool take_usage(const char *name, size_t name_len, unsigned *usage)
{
    static const struct {
        const char *name;
        unsigned usage;
    } usages[] = {{"derive", AZIOT_KEYS_KEY_USAGE_DERIVE}, {"sign", AZIOT_KEYS_KEY_USAGE_SIGN},
        {"encrypt", AZIOT_KEYS_KEY_USAGE_ENCRYPT}};
    for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++)
        if (strlen(usages[i].name) == name_len && strncmp(usages[i].name, name, name_len) == 0) {
            *usage |= usages[i].usage;
            return true;
        }
    return false;
}

static bool usage_of(const json_t *body, unsigned *out, struct t2c_error *err)
{
    const char *list = NULL;
    if (!text_of(body, "usage", &list, err))
        return false;
    for (;; list++) {
        size_t len = strcspn(list, ",");
        if (!take_usage(list, len, out))
            return missing("usage", err);
        list += len;
        if (*list == '\0')
            return true;
    }
}

/* With bytes it is imported, in place of what there was. */
static bool create_key(struct exchange *exchange, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    bool import = json_is_string(json_object_get(exchange->body, "keyBytes"));
    struct library_call call = {.fn = import ? LIBRARY_IMPORT : LIBRARY_CREATE};
    if (!text_of(exchange->body, "keyId", &call.id, err) || !usage_of(exchange->body, &call.number, err) ||
        (import && !bytes_of(exchange->body, "keyBytes", &bytes, err)) || !authorize(exchange, call.id, err))
        return false;
    call.in = bytes.data;
    call.in_len = bytes.len;
    return library_do(&call, err) && answer_handle(exchange, HANDLE_KEY, call.id, err);
}

static bool load_key(struct exchange *exchange, struct t2c_error *err)
{
    const struct library_call call = {.fn = LIBRARY_LOAD, .id = exchange->segment};
    return authorize(exchange, call.id, err) && library_do(&call, err) &&
        answer_handle(exchange, HANDLE_KEY, call.id, err);
}

/* ---- parameters ---- */

static bool answer_algorithm(struct exchange *exchange, const char *id, struct t2c_error *err)
{
    const char *name = NULL;
    if (!library_algorithm(id, &name, err))
        return false;
    exchange->answer = json_pack("{s:s}", "value", name);
    return exchange->answer != NULL || t2c_fail_nomem(err);
}

static bool tell_parameter(struct exchange *exchange, struct t2c_error *err)
{
    static const char *const names[] = {
        [AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID] = "ec-curve-oid",
        [AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT] = "ec-point",
        [AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS] = "rsa-modulus",
        [AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT] = "rsa-exponent",
    };
    T2C_CLEANUP(handle_fini) struct handle handle = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes value = {0};
    if (!handle_in(exchange, &handle, err))
        return false;
    if (strcmp(exchange->segment, "algorithm") == 0)
        return answer_algorithm(exchange, handle.id, err);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct library_call call = {.fn = LIBRARY_PARAMETER, .id = handle.id, .number = i};
        if (names[i] != NULL && strcmp(names[i], exchange->segment) == 0)
            return library_answer(&call, &value, err) && answer_bytes(exchange, "value", &value, err);
    }
    return t2c_fail(err, T2C_INVALID, "there is no parameter %s", exchange->segment);
}

/* ---- keys that are derived ---- */

static bool create_derived(struct exchange *exchange, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0}, text = {0};
    T2C_CLEANUP(handle_fini) struct handle base = {0};
    const char *base_text = NULL;
    if (!text_of(exchange->body, "baseKeyHandle", &base_text, err) ||
        !bytes_of(exchange->body, "derivationData", &data, err) || !handle_open(base_text, &base, err))
        return false;
    if (base.kind != HANDLE_KEY)
        return t2c_fail(err, T2C_INVALID, "nothing is derived from a key of this kind");
    if (!handle_make_derived(base_text, data.data, data.len, &text, err))
        return false;
    exchange->answer = json_pack("{s:s}", "keyHandle", (const char *)text.data);
    return exchange->answer != NULL || t2c_fail_nomem(err);
}

static bool export_derived(struct exchange *exchange, struct t2c_error *err)
{
    T2C_CLEANUP(handle_fini) struct handle handle = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes key = {0};
    if (!handle_in(exchange, &handle, err))
        return false;
    if (handle.kind != HANDLE_DERIVED)
        return t2c_fail(err, T2C_INVALID, "the handle is not for a derived key");
    const struct library_call call = {
        .fn = LIBRARY_DERIVE, .id = handle.id, .in = handle.derived.data, .in_len = handle.derived.len};
    return library_answer(&call, &key, err) && answer_bytes(exchange, "key", &key, err);
}

/* ---- sign, encrypt, decrypt ---- */

/* Answers CALL, of the key of HANDLE on IN, under NAME. */
static bool answer_use(struct exchange *exchange, const struct handle *handle, struct library_call *call,
    const struct t2c_bytes *in, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    call->id = handle->id;
    call->in = in->data;
    call->in_len = in->len;
    return library_answer(call, &out, err) && answer_bytes(exchange, name, &out, err);
}

static bool no_such_use(struct t2c_error *err)
{
    return t2c_fail(err, T2C_INVALID, "parameter \"mechanism\" has an invalid value for a key of this kind");
}

static bool sign(struct exchange *exchange, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes in = {0};
    T2C_CLEANUP(handle_fini) struct handle handle = {0};
    struct library_call call = {.fn = LIBRARY_SIGN, .number = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256};
    const char *algorithm = NULL;
    if (!text_of(exchange->body, "algorithm", &algorithm, err))
        return false;
    bool ecdsa = strcmp(algorithm, "ECDSA") == 0;
    if (!ecdsa && strcmp(algorithm, "HMAC-SHA256") != 0)
        return missing("algorithm", err);
    if (!bytes_of(json_object_get(exchange->body, "parameters"), ecdsa ? "digest" : "message", &in, err) ||
        !handle_in(exchange, &handle, err))
        return false;
    if (ecdsa != (handle.kind == HANDLE_PAIR))
        return no_such_use(err);
    const struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS derived = {
        library_address(&handle.derived), handle.derived.len, AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256, NULL};
    if (ecdsa)
        call.number = AZIOT_KEYS_SIGN_MECHANISM_ECDSA;
    if (handle.kind == HANDLE_DERIVED) {
        call.number = AZIOT_KEYS_SIGN_MECHANISM_DERIVED;
        call.parameters = &derived;
    }
    return answer_use(exchange, &handle, &call, &in, "signature", err);
}

static bool use_aead(struct exchange *exchange, const struct handle *handle, struct library_call *call,
    const struct t2c_bytes *in, const char *name, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes iv = {0}, aad = {0};
    const json_t *parameters = json_object_get(exchange->body, "parameters");
    if (!bytes_of(parameters, "iv", &iv, err) || !bytes_of(parameters, "aad", &aad, err))
        return false;
    if (handle->kind == HANDLE_PAIR)
        return no_such_use(err);
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {
        library_address(&iv), iv.len, library_address(&aad), aad.len};
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS derived = {
        library_address(&handle->derived), handle->derived.len, AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD, &aead};
    bool is_derived = handle->kind == HANDLE_DERIVED;
    call->number = is_derived ? AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED : AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD;
    call->parameters = is_derived ? (const void *)&derived : &aead;
    return answer_use(exchange, handle, call, in, name, err);
}

static bool transform(
    struct exchange *exchange, enum library_fn fn, const char *from, const char *to, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes in = {0};
    T2C_CLEANUP(handle_fini) struct handle handle = {0};
    struct library_call call = {.fn = fn};
    const char *algorithm = NULL;
    if (!text_of(exchange->body, "algorithm", &algorithm, err) || !bytes_of(exchange->body, from, &in, err) ||
        !handle_in(exchange, &handle, err))
        return false;
    if (strcmp(algorithm, "AEAD") == 0)
        return use_aead(exchange, &handle, &call, &in, to, err);
    bool pkcs1 = strcmp(algorithm, "RSA-PKCS1") == 0;
    if (!pkcs1 && strcmp(algorithm, "RSA-NO-PADDING") != 0)
        return missing("algorithm", err);
    if (handle.kind != HANDLE_PAIR || fn == LIBRARY_DECRYPT)
        return no_such_use(err);
    call.number = pkcs1 ? AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1 : AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING;
    return answer_use(exchange, &handle, &call, &in, to, err);
}

static bool encrypt(struct exchange *exchange, struct t2c_error *err)
{
    return transform(exchange, LIBRARY_ENCRYPT, "plaintext", "ciphertext", err);
}

static bool decrypt(struct exchange *exchange, struct t2c_error *err)
{
    return transform(exchange, LIBRARY_DECRYPT, "ciphertext", "plaintext", err);
}

/* ---- routes ---- */

static const struct route {
    const char *method, *path; /* a path that ends in a slash takes one segment more */
    bool (*run)(struct exchange *exchange, struct t2c_error *err);
} routes[] = {
    {"POST", "/keypair", create_pair},
    {"DELETE", "/keypair", delete_pair},
    {"GET", "/keypair/", load_pair},
    {"POST", "/keypair/", move_pair},
    {"POST", "/parameters/", tell_parameter},
    {"POST", "/key", create_key},
    {"DELETE", "/key", delete_key},
    {"GET", "/key/", load_key},
    {"POST", "/derivedkey", create_derived},
    {"POST", "/derivedkey/export", export_derived},
    {"POST", "/sign", sign},
    {"POST", "/encrypt", encrypt},
    {"POST", "/decrypt", decrypt},
};

/* Gives what is behind the route's path, empty where nothing belongs; NULL when PATH is another. */
static const char *segment_of(const struct route *route, const char *path)
{
    size_t len = strlen(route->path);
    if (strncmp(path, route->path, len) != 0)
        return NULL;
    const char *rest = path + len;
    bool takes_one = route->path[len - 1] == '/';
    return takes_one == (*rest != '\0') && strchr(rest, '/') == NULL ? rest : NULL;
}

static const struct route *find_route(const struct request *request, const char **segment, struct t2c_error *err)
{
    bool other_method = false;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        *segment = segment_of(&routes[i], request->path);
        if (*segment != NULL && strcmp(routes[i].method, request->method) == 0)
            return &routes[i];
        other_method = other_method || *segment != NULL;
    }
    t2c_fail(err, other_method ? T2C_INVALID : T2C_NOT_FOUND, other_method ? "method not allowed" : "not found");
    return NULL;
}

static bool check_version(const char *version, struct t2c_error *err)
{
    if (version == NULL)
        return t2c_fail(err, T2C_INVALID, "api-version not specified");
    return strcmp(version, "2021-05-01") == 0 || strcmp(version, "2020-09-01") == 0 ||
        t2c_fail(err, T2C_INVALID, "invalid api-version \"%s\"", version);
}

/* A key id may hold any character but NUL, and is UTF-8. */
static bool run_route(const struct route *route, struct exchange *exchange, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *segment = strdup(exchange->segment);
    if (segment == NULL)
        return t2c_fail_nomem(err);
    if (MHD_http_unescape(segment) != strlen(segment))
        return t2c_fail(err, T2C_INVALID, "parameter \"id\" has an invalid value");
    T2C_CLEANUP(json_freep) json_t *text = json_string(segment);
    if (text == NULL)
        return t2c_fail(err, T2C_NOT_FOUND, "not found");
    exchange->segment = segment;
    bool ok = route->run(exchange, err);
    exchange->segment = NULL;
    return ok;
}

static bool answer(struct exchange *exchange, struct t2c_error *err)
{
    const struct request *request = exchange->request;
    const struct route *route = NULL;
    if (!check_version(request->api_version, err) || (route = find_route(request, &exchange->segment, err)) == NULL)
        return false;
    if (strcmp(request->method, "GET") == 0)
        return run_route(route, exchange, err);
    if (request->body_len == 0)
        return t2c_fail(err, T2C_INVALID, "missing request body");
    T2C_CLEANUP(json_freep) json_t *body = json_loadb(request->body, request->body_len, 0, NULL);
    if (body == NULL)
        return t2c_fail(err, T2C_PROTO, "the request body is not JSON");
    exchange->body = body;
    bool ok = run_route(route, exchange, err);
    exchange->body = NULL;
    return ok;
}

static unsigned status_of(enum t2c_code code)
{
    switch (code) {
    case T2C_INVALID:
        return 400;
    case T2C_AUTH:
        return 401;
    case T2C_NOT_FOUND:
        return 404;
    case T2C_PROTO:
        return 422;
    default:
        return 500;
    }
}

unsigned api_answer(const struct config *config, const struct request *request, json_t **out)
{
    struct t2c_error why = {0};
    struct exchange exchange = {.config = config, .request = request};
    bool ok = answer(&exchange, &why);
    *out = exchange.answer;
    if (ok)
        return exchange.answer != NULL ? 200 : 204;
    unsigned status = status_of(why.code);
    t2c_log(T2C_LOG_ERROR, "%s %s: %u: %s", request->method, request->path, status, why.text);
    *out = json_pack("{s:s}", "message", status < 500 ? why.text : "internal error");
    return status;
}
