/*
 * tpm2-pkcs11 in two ways.
 *
 * As keyd's stock library calls it: for each of keyd's calls the library is loaded and initialized, the token found by its
 * label, a session opened and logged in, the objects found, the operation done, and all of it undone, because the stock library
 * keeps nothing that is not in use; and it does the whole operation for the size of the answer, too, so that a signature is two
 * of those. Read in the sources of iot-identity-service (key/aziot-keys, pkcs11).
 *
 * And with library, session, login and object kept, one operation for each signature: the best that there is.
 */
#include "bench.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define PIN "1234"
#define SLOTS_MAX 16
#define TOKEN_INFO_LEN 1024 /* more than a CK_TOKEN_INFO, which begins with the label */
#define LABEL_LEN 32

enum { CKO_PUBLIC = 2, CKO_PRIVATE = 3, CKO_SECRET = 4 };
enum { CKA_CLASS = 0, CKA_LABEL = 3, CKA_KEY_TYPE = 0x100, CKA_EC_PARAMS = 0x180, CKA_EC_POINT = 0x181 };
enum { CKM_SHA256_HMAC = 0x251, CKM_ECDSA = 0x1041 };
enum { CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1 };

struct attribute {
    unsigned long type;
    void *value;
    unsigned long len;
};

struct mechanism {
    unsigned long mechanism;
    void *parameter;
    unsigned long parameter_len;
};

/* The functions, in the order of their names in load(). */
struct functions {
    unsigned long (*initialize)(void *);
    unsigned long (*finalize)(void *);
    unsigned long (*get_slot_list)(unsigned char, unsigned long *, unsigned long *);
    unsigned long (*get_token_info)(unsigned long, void *);
    unsigned long (*open_session)(unsigned long, unsigned long, void *, void *, unsigned long *);
    unsigned long (*close_session)(unsigned long);
    unsigned long (*login)(unsigned long, unsigned long, unsigned char *, unsigned long);
    unsigned long (*find_init)(unsigned long, struct attribute *, unsigned long);
    unsigned long (*find)(unsigned long, unsigned long *, unsigned long, unsigned long *);
    unsigned long (*find_final)(unsigned long);
    unsigned long (*get_attribute)(unsigned long, unsigned long, struct attribute *, unsigned long);
    unsigned long (*sign_init)(unsigned long, struct mechanism *, unsigned long);
    unsigned long (*sign)(unsigned long, const unsigned char *, unsigned long, unsigned char *, unsigned long *);
};

struct pkcs11 {
    const struct setup *setup;
    bool hmac;
    void *library;
    struct functions c;
    unsigned long session, key;
};

/* ---- what the stock library does for one call ---- */

static bool load(struct pkcs11 *token)
{
    static const char *const names[] = {"C_Initialize", "C_Finalize", "C_GetSlotList", "C_GetTokenInfo",
        "C_OpenSession", "C_CloseSession", "C_Login", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal",
        "C_GetAttributeValue", "C_SignInit", "C_Sign"};
    void *found[sizeof(names) / sizeof(names[0])];
    token->library = dlopen(token->setup->pkcs11_library, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; token->library != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if ((found[i] = dlsym(token->library, names[i])) == NULL)
            return false;
    if (token->library == NULL)
        return false;
    memcpy(&token->c, found, sizeof(token->c));
    return token->c.initialize(NULL) == 0;
}

static bool is_ours(const struct pkcs11 *token, unsigned long slot)
{
    unsigned long info[TOKEN_INFO_LEN / sizeof(unsigned long)] = {0};
    const size_t len = strlen(token->setup->pkcs11_token);
    return token->c.get_token_info(slot, info) == 0 && len < LABEL_LEN &&
        memcmp(info, token->setup->pkcs11_token, len) == 0 && ((const char *)info)[len] == ' ';
}

static bool find_slot(const struct pkcs11 *token, unsigned long *out)
{
    unsigned long slots[SLOTS_MAX], n = SLOTS_MAX;
    if (token->c.get_slot_list(1, slots, &n) != 0)
        return false;
    for (unsigned long i = 0; i < n; i++)
        if (is_ours(token, slots[i])) {
            *out = slots[i];
            return true;
        }
    return false;
}

static bool find_object(const struct pkcs11 *token, unsigned long class, unsigned long *out)
{
    char label[] = "device-id";
    struct attribute wanted[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_LABEL, label, sizeof(label) - 1}};
    unsigned long n = 0, type = 0;
    struct attribute asked = {CKA_KEY_TYPE, &type, sizeof(type)};
    bool ok = token->c.find_init(token->session, wanted, 2) == 0 && token->c.find(token->session, out, 1, &n) == 0;
    return token->c.find_final(token->session) == 0 && ok && n == 1 &&
        token->c.get_attribute(token->session, *out, &asked, 1) == 0;
}

/* The public numbers, from which the stock library takes the size of a signature. */
static bool read_numbers(const struct pkcs11 *token, unsigned long object)
{
    static const unsigned long types[] = {CKA_EC_PARAMS, CKA_EC_POINT};
    unsigned char value[256];
    for (size_t i = 0; i < 2; i++) {
        struct attribute asked = {types[i], NULL, 0};
        if (token->c.get_attribute(token->session, object, &asked, 1) != 0 || asked.len > sizeof(value))
            return false;
        asked.value = value;
        if (token->c.get_attribute(token->session, object, &asked, 1) != 0)
            return false;
    }
    return true;
}

static bool enter(struct pkcs11 *token)
{
    unsigned long slot = 0, public_half = 0;
    unsigned char pin[] = PIN;
    if (!load(token) || !find_slot(token, &slot) ||
        token->c.open_session(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &token->session) != 0 ||
        token->c.login(token->session, CKU_USER, pin, sizeof(pin) - 1) != 0)
        return false;
    if (token->hmac)
        return find_object(token, CKO_SECRET, &token->key);
    return find_object(token, CKO_PUBLIC, &public_half) && find_object(token, CKO_PRIVATE, &token->key) &&
        read_numbers(token, public_half);
}

static bool operate(struct pkcs11 *token)
{
    static const unsigned char digest[32];
    struct mechanism mechanism = {token->hmac ? CKM_SHA256_HMAC : CKM_ECDSA, NULL, 0};
    unsigned char out[128];
    unsigned long len = sizeof(out);
    return token->c.sign_init(token->session, &mechanism, token->key) == 0 &&
        token->c.sign(token->session, token->hmac ? bench_message : digest, token->hmac ? MESSAGE_LEN : sizeof(digest),
            out, &len) == 0 &&
        len == (token->hmac ? 32 : 64);
}

static void leave(struct pkcs11 *token)
{
    if (token->session != 0)
        token->c.close_session(token->session);
    if (token->c.finalize != NULL)
        token->c.finalize(NULL);
    if (token->library != NULL)
        dlclose(token->library);
    *token = (struct pkcs11){.setup = token->setup, .hmac = token->hmac};
}

/* ---- the peers ---- */

static bool open_as(struct peer *peer, const struct setup *setup, bool hmac)
{
    struct pkcs11 *token = new_zeroed(1, sizeof(*token));
    peer->state = token;
    token->setup = setup;
    token->hmac = hmac;
    return (setup->pkcs11_library != NULL && setup->pkcs11_token != NULL) || peer_fails(peer, "not installed");
}

bool stock_pair_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, false);
}

bool stock_hmac_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, true);
}

bool stock_sign(struct peer *peer)
{
    bool ok = true;
    for (int call = 0; ok && call < 2; call++) {
        ok = enter(peer->state) && operate(peer->state);
        leave(peer->state);
    }
    return ok;
}

bool kept_pair_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, false) && (enter(peer->state) || peer_fails(peer, "no token that is as it should be"));
}

bool kept_hmac_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, true) && (enter(peer->state) || peer_fails(peer, "no token that is as it should be"));
}

bool kept_sign(struct peer *peer)
{
    return operate(peer->state);
}

void pkcs11_close(struct peer *peer)
{
    leave(peer->state);
    free(peer->state);
}
