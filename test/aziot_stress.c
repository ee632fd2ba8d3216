/*
 * libaziot_keys for long: many keys, or many calls, and each answer is held against what it must be.
 *
 *     aziot_stress LIBRARY HOMEDIR scale KEYS           that many keys: made, used twice, moved, removed
 *     aziot_stress LIBRARY HOMEDIR mix CALLS SEED       calls of all kinds, good and bad, from threads; one in ten uses the TPM
 *
 * A mix is the same for the same SEED. Each thread has keys of its own, and a model of them: which ids there are, and which
 * bytes a key has, so that OpenSSL knows the answer. Prints, last, "rss KIB KIB": the memory after a fifth, and at the end.
 */
#include "aziot_abi.h"

#include <openssl/core_names.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 4
#define PAIRS 6
#define SYMMETRICS 12
#define OK AZIOT_KEYS_RC_OK
#define INVALID AZIOT_KEYS_RC_ERR_INVALID_PARAMETER
#define EXTERNAL AZIOT_KEYS_RC_ERR_EXTERNAL
#define HMAC AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256
#define ENCRYPTS AZIOT_KEYS_KEY_USAGE_ENCRYPT

static const unsigned char digest[32] = {7, 8, 9};

static _Noreturn void wrong(const char *what, const char *id, unsigned long call)
{
    printf("call %lu: %s: %s\n", call, id, what);
    fflush(stdout);
    _exit(1);
}

static unsigned long rss_kib(void)
{
    unsigned long kib = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        sscanf(line, "VmRSS: %lu", &kib);
    if (status != NULL)
        fclose(status);
    return kib;
}

/* ---- what OpenSSL says ---- */

static void hmac(
    const unsigned char *key, size_t key_len, const unsigned char *data, size_t data_len, unsigned char *out)
{
    size_t len = 0;
    if (EVP_Q_mac(openssl_ctx(), "HMAC", NULL, "SHA256", NULL, key, key_len, data, data_len, out, 32, &len) == NULL)
        abort();
}

/* Version, ciphertext, tag. */
static void seal(const unsigned char *key, const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *with,
    const unsigned char *plain, size_t plain_len, unsigned char *out)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(openssl_ctx(), "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0, rest = 0;
    out[0] = 2;
    if (EVP_EncryptInit_ex(ctx, cipher, NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)with->iv_len, NULL) != 1 ||
        EVP_EncryptInit_ex(ctx, NULL, NULL, key, with->iv) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &len, with->aad, (int)with->aad_len) != 1 ||
        EVP_EncryptUpdate(ctx, out + 1, &len, plain, (int)plain_len) != 1 ||
        EVP_EncryptFinal_ex(ctx, out + 1 + len, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 1 + plain_len) != 1)
        abort();
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
}

/* ---- many keys ---- */

/* Even ones are key pairs. */
static void name_key(char out[32], const char *prefix, unsigned i)
{
    snprintf(out, 32, "%s%u", prefix, i);
}

/* Gives the point, or an HMAC: it tells keys apart. */
static size_t use_key(const char *id, bool pair, unsigned char out[128])
{
    unsigned char sig[128];
    size_t len = 0, sig_len = 0;
    if (!pair)
        return twice(keys->sign, id, HMAC, NULL, digest, sizeof(digest), out, &len) == OK ? len : 0;
    len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, out);
    EVP_PKEY *key = len > 0 ? public_ec(out, len) : NULL;
    bool good = key != NULL &&
        twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, sizeof(digest), sig, &sig_len) == OK &&
        verifies(key, 0, NULL, digest, sizeof(digest), sig, sig_len);
    EVP_PKEY_free(key);
    return good ? len : 0;
}

static void use_again(const char *id, unsigned i, const unsigned char *first)
{
    unsigned char again[128];
    size_t len = use_key(id, i % 2 == 0, again);
    if (len == 0 || memcmp(again, first, len) != 0)
        wrong("is another key than it was", id, i);
}

static void end_key(unsigned i, const unsigned char *first)
{
    char id[32], moved[32];
    name_key(id, "key", i);
    name_key(moved, "moved", i);
    if (i % 2 != 0) {
        if (keys->delete_key(id) != OK || keys->load_key(id) != INVALID)
            wrong("is not removed", id, i);
        return;
    }
    if (keys->move_key_pair(id, moved) != OK || keys->load_key_pair(id) != INVALID)
        wrong("is not moved", id, i);
    use_again(moved, i, first);
    if (keys->delete_key_pair(moved) != OK || keys->load_key_pair(moved) != INVALID)
        wrong("is not removed", moved, i);
}

static void scale(unsigned n)
{
    unsigned char(*answers)[128] = calloc(n, sizeof(*answers));
    unsigned long first = rss_kib();
    char id[32];
    if (answers == NULL)
        abort();
    for (unsigned i = 0; i < n; i++) {
        name_key(id, "key", i);
        if ((i % 2 == 0 ? keys->create_key_pair_if_not_exists(id, "ec-p256")
                        : keys->create_key_if_not_exists(id, AZIOT_KEYS_KEY_USAGE_SIGN)) != OK ||
            use_key(id, i % 2 == 0, answers[i]) == 0)
            wrong("is not made, or does not work", id, i);
    }
    for (unsigned i = 0; i < n; i++) {
        name_key(id, "key", i);
        use_again(id, i, answers[i]);
    }
    printf("rss %lu %lu\n", first, rss_kib());
    for (unsigned i = 0; i < n; i++)
        end_key(i, answers[i]);
    free(answers);
}

/* ---- many calls ---- */

struct pair_model {
    bool exists;
    unsigned char point[33];
};

struct symmetric_model {
    bool exists, known; /* known: its bytes are */
    unsigned usage;
    unsigned char bytes[96];
    size_t len;
};

struct thread {
    pthread_t id;
    unsigned number;
    uint64_t random;
    unsigned long calls, done;
    struct pair_model pairs[PAIRS];
    struct symmetric_model symmetrics[SYMMETRICS];
    unsigned long early_kib;
};

static uint64_t next(struct thread *thread)
{
    thread->random ^= thread->random << 13;
    thread->random ^= thread->random >> 7;
    thread->random ^= thread->random << 17;
    return thread->random;
}

static unsigned below(struct thread *thread, unsigned n)
{
    return (unsigned)(next(thread) >> 32) % n;
}

static void expect(struct thread *thread, unsigned want, unsigned have, const char *what, const char *id)
{
    char text[160];
    thread->done++;
    if (want == have)
        return;
    snprintf(text, sizeof(text), "%s returned %u, not %u", what, have, want);
    wrong(text, id, thread->done);
}

static void expect_bytes(struct thread *thread, const unsigned char *want, size_t want_len, const unsigned char *have,
    size_t have_len, const char *what, const char *id)
{
    if (want_len != have_len || memcmp(want, have, want_len) != 0)
        wrong(what, id, thread->done);
}

static void name_pair(const struct thread *thread, unsigned i, char out[32])
{
    snprintf(out, 32, "t%u/pair %u", thread->number, i);
}

static void name_symmetric(const struct thread *thread, unsigned i, char out[32])
{
    snprintf(out, 32, "t%u/key %u", thread->number, i);
}

/* What costs no TPM command, of any id. */
static void ask_pair(struct thread *thread, const char *id, const struct pair_model *pair)
{
    unsigned char out[256];
    uintptr_t len = 0;
    unsigned want = pair->exists ? OK : INVALID;
    expect(thread, want, keys->load_key_pair(id), "load_key_pair", id);
    expect(thread, INVALID, keys->load_key(id), "load_key of a pair", id);
    expect(thread, INVALID, keys->get_key_pair_parameter(id, 99, NULL, &len), "parameter 99", id);
    expect(thread, want, keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, NULL, &len), "size", id);
    len = 10;
    expect(thread, INVALID, keys->sign(id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, digest, 32, out, &len), "short", id);
    expect(thread, INVALID, keys->sign(id, 77, NULL, digest, 32, out, &len), "mechanism 77", id);
    size_t point_len = parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, out);
    expect_bytes(thread, pair->point, pair->exists ? 33 : 0, out, point_len, "the point is another one", id);
}

static void ask_symmetric(struct thread *thread, const char *id, const struct symmetric_model *key)
{
    uintptr_t len = 0;
    int ok = 0;
    unsigned char out[8];
    unsigned want = key->exists ? OK : INVALID;
    expect(thread, want, keys->load_key(id), "load_key", id);
    expect(thread, INVALID, keys->load_key_pair(id), "load_key_pair of a key", id);
    expect(thread, want, keys->derive_key(id, digest, 32, NULL, &len), "size of a derived key", id);
    expect(thread, INVALID, keys->derive_key(id, NULL, 0, NULL, &len), "derive_key of nothing", id);
    len = sizeof(out);
    expect(thread, INVALID, keys->sign(id, HMAC, NULL, digest, 32, out, &len), "short", id);
    expect(thread, INVALID, keys->verify(id, 1, NULL, digest, 32, digest, 32, &ok), "verify ECDSA", id);
    expect(thread, INVALID, keys->import_key(id, NOWHERE, 0, 1), "import nothing", id);
    expect(thread, INVALID, keys->encrypt(id, 1, NULL, digest, 32, NULL, &len), "encrypt without parameters", id);
    if (key->exists)
        expect(thread, OK, keys->create_key_if_not_exists(id, 1), "create_key_if_not_exists again", id);
}

static void ask_anything(struct thread *thread)
{
    static const char validation[] = "handle-validation-key";
    unsigned char mac[64];
    size_t len = 0;
    int ok = -1;
    expect(thread, INVALID, keys->load_key(NULL), "load_key of no id", "NULL");
    expect(thread, INVALID, keys->delete_key_pair(NULL), "delete_key_pair of no id", "NULL");
    expect(thread, INVALID, keys->set_parameter("tpm2cloud_nothing", "x"), "set_parameter", "tpm2cloud_nothing");
    expect(thread, INVALID, keys->create_key_pair_if_not_exists("no", "dsa"), "create of DSA", "no");
    expect(thread, OK, keys->create_key_if_not_exists(validation, 1), "create_key_if_not_exists", validation);
    expect(thread, OK, twice(keys->sign, validation, HMAC, NULL, digest, 32, mac, &len), "sign", validation);
    expect(thread, OK, keys->verify(validation, HMAC, NULL, digest, 32, mac, len, &ok), "verify", validation);
    if (ok != 1)
        wrong("a handle does not verify", validation, thread->done);
    mac[0] ^= 1;
    expect(thread, OK, keys->verify(validation, HMAC, NULL, digest, 32, mac, len, &ok), "verify", validation);
    if (ok != 0)
        wrong("a forged handle verifies", validation, thread->done);
}

static void change_pair(struct thread *thread, unsigned i, const char *id)
{
    struct pair_model *pair = &thread->pairs[i];
    unsigned j = (i + 1 + below(thread, PAIRS - 1)) % PAIRS;
    char other[32];
    name_pair(thread, j, other);
    switch (below(thread, pair->exists ? 3 : 1)) {
    case 0:
        expect(thread, OK, keys->create_key_pair_if_not_exists(id, "rsa-2048:ec-p256:*"), "create", id);
        if (!pair->exists &&
            parameter(id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT, pair->point) != sizeof(pair->point))
            wrong("has no point", id, thread->done);
        pair->exists = true;
        break;
    case 1:
        expect(thread, pair->exists ? OK : EXTERNAL, keys->move_key_pair(id, other), "move_key_pair", id);
        if (pair->exists)
            thread->pairs[j] = *pair;
        pair->exists = false;
        break;
    default:
        expect(thread, OK, keys->delete_key_pair(id), "delete_key_pair", id);
        pair->exists = false;
    }
}

static void use_pair(struct thread *thread, const char *id, const struct pair_model *pair)
{
    unsigned char sig[128], data[64];
    size_t sig_len = 0, len = 20 + below(thread, 45);
    for (size_t i = 0; i < len; i++)
        data[i] = (unsigned char)next(thread);
    unsigned rc = twice(keys->sign, id, AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL, data, len, sig, &sig_len);
    expect(thread, pair->exists ? OK : INVALID, rc, "sign", id);
    EVP_PKEY *key = pair->exists ? public_ec(pair->point, sizeof(pair->point)) : NULL;
    if (pair->exists && (key == NULL || !verifies(key, 0, NULL, data, len, sig, sig_len)))
        wrong("a signature does not verify", id, thread->done);
    EVP_PKEY_free(key);
}

static void change_symmetric(struct thread *thread, struct symmetric_model *key, const char *id)
{
    static const unsigned usages[] = {1, ENCRYPTS, 1 | ENCRYPTS};
    unsigned usage = usages[below(thread, 3)];
    switch (below(thread, key->exists ? 4 : 8)) {
    case 0:
        expect(thread, OK, keys->create_key_if_not_exists(id, usage), "create_key_if_not_exists", id);
        if (!key->exists)
            *key = (struct symmetric_model){.exists = true, .usage = usage, .len = 32};
        break;
    case 1:
        expect(thread, OK, keys->delete_key(id), "delete_key", id);
        key->exists = false;
        break;
    default:
        *key = (struct symmetric_model){.exists = true, .known = true, .usage = usage, .len = 32};
        if ((usage & ENCRYPTS) == 0)
            key->len = 1 + below(thread, sizeof(key->bytes));
        for (size_t i = 0; i < key->len; i++)
            key->bytes[i] = (unsigned char)next(thread);
        expect(thread, OK, keys->import_key(id, key->bytes, key->len, usage), "import_key", id);
    }
}

static void use_aead(struct thread *thread, const char *id, const struct symmetric_model *key, bool derived)
{
    unsigned char iv[16] = {1}, data[200] = {2}, want[256], out[256], plain[256], bytes[32];
    size_t len = below(thread, sizeof(data)), out_len = 0, plain_len = 0;
    const struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS with = {iv, 1 + below(thread, 16), BYTES("aad")};
    const struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS by = {digest, sizeof(digest), 1, &with};
    const unsigned mechanism = derived ? AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED : AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD;
    const void *parameters = derived ? (const void *)&by : &with;
    bool can = key->exists && (derived || (key->usage & ENCRYPTS) != 0);
    unsigned rc = twice(keys->encrypt, id, mechanism, parameters, data, len, out, &out_len);
    expect(thread, can ? OK : INVALID, rc, "encrypt", id);
    if (!can)
        return;
    memcpy(bytes, key->bytes, sizeof(bytes));
    if (derived)
        hmac(key->bytes, key->len, digest, sizeof(digest), bytes);
    seal(bytes, &with, data, len, want);
    if (key->known)
        expect_bytes(thread, want, len + 17, out, out_len, "the ciphertext is another one", id);
    rc = twice(keys->decrypt, id, mechanism, parameters, out, out_len, plain, &plain_len);
    expect(thread, OK, rc, "decrypt", id);
    expect_bytes(thread, data, len, plain, plain_len, "it decrypts to something else", id);
    out[out_len - 1] ^= 1;
    rc = twice(keys->decrypt, id, mechanism, parameters, out, out_len, plain, &plain_len);
    expect(thread, EXTERNAL, rc, "decrypt what was changed", id);
}

static void use_symmetric(struct thread *thread, const char *id, const struct symmetric_model *key)
{
    unsigned char data[1500] = {3}, want[32], out[64];
    size_t len = below(thread, below(thread, 10) == 0 ? sizeof(data) : 64), out_len = 0;
    uintptr_t derived_len = 32;
    int ok = -1;
    unsigned rc = twice(keys->sign, id, HMAC, NULL, data, len, out, &out_len);
    expect(thread, key->exists ? OK : INVALID, rc, "sign by HMAC", id);
    if (!key->exists)
        return;
    hmac(key->bytes, key->len, data, len, want);
    if (key->known)
        expect_bytes(thread, want, sizeof(want), out, out_len, "the HMAC is another one", id);
    expect(thread, OK, keys->verify(id, HMAC, NULL, data, len, out, out_len, &ok), "verify", id);
    if (ok != 1)
        wrong("an HMAC does not verify", id, thread->done);
    expect(thread, OK, keys->derive_key(id, data, len, out + 32, &derived_len), "derive_key", id);
    expect_bytes(thread, out, 32, out + 32, derived_len, "a derived key is no HMAC", id);
}

static void change(struct thread *thread, unsigned p, unsigned s)
{
    char pair[32], symmetric[32];
    name_pair(thread, p, pair);
    name_symmetric(thread, s, symmetric);
    change_pair(thread, p, pair);
    change_symmetric(thread, &thread->symmetrics[s], symmetric);
}

static void step(struct thread *thread)
{
    char pair[32], symmetric[32];
    unsigned p = below(thread, PAIRS), s = below(thread, SYMMETRICS);
    const struct symmetric_model *key = &thread->symmetrics[s];
    name_pair(thread, p, pair);
    name_symmetric(thread, s, symmetric);
    switch (below(thread, 40)) {
    case 0:
        change(thread, p, s);
        break;
    case 1:
        use_pair(thread, pair, &thread->pairs[p]);
        break;
    case 2:
        use_symmetric(thread, symmetric, key);
        break;
    case 3:
        use_aead(thread, symmetric, key, below(thread, 3) == 0);
        break;
    default:
        if (below(thread, 3) == 0)
            ask_anything(thread);
        else if (below(thread, 2) == 0)
            ask_pair(thread, pair, &thread->pairs[p]);
        else
            ask_symmetric(thread, symmetric, key);
    }
}

static void *run_thread(void *arg)
{
    struct thread *thread = arg;
    for (unsigned i = 0; i < SYMMETRICS; i++)
        change(thread, i % PAIRS, i);
    while (thread->done < thread->calls) {
        step(thread);
        if (thread->early_kib == 0 && thread->done > thread->calls / 5)
            thread->early_kib = rss_kib();
    }
    return NULL;
}

static void mix(unsigned long calls, unsigned long seed)
{
    static struct thread threads[THREADS];
    unsigned long early = 0, done = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].number = i;
        threads[i].calls = calls / THREADS;
        threads[i].random = (seed + 1) * 0x9e3779b97f4a7c15u + i;
        if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        early = threads[i].early_kib > early ? threads[i].early_kib : early;
        done += threads[i].done;
    }
    printf("calls %lu\nrss %lu %lu\n", done, early, rss_kib());
}

int main(int argc, char **argv)
{
    if (argc < 5 || !abi_load(argv[1]) || keys->set_parameter("homedir_path", argv[2]) != OK) {
        fprintf(stderr, "usage: aziot_stress LIBRARY HOMEDIR scale KEYS | mix CALLS SEED\n");
        return 2;
    }
    unsigned long n = strtoul(argv[4], NULL, 10);
    openssl_ctx(); /* before there are threads */
    if (strcmp(argv[3], "scale") == 0)
        scale((unsigned)n);
    else
        mix(n, argc > 5 ? strtoul(argv[5], NULL, 10) : 1);
    return 0;
}
