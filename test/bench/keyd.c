/*
 * libaziot_keys as keyd calls it: one call for the size of the answer, one for the answer. What keyd does around that, its
 * socket and its handles, is not measured.
 */
#include "bench.h"

#include "../../aziot/aziot_keys.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

struct keyd {
    void *library;
    const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;
    const char *id;
    unsigned mechanism;
};

static const unsigned char digest[32];

static bool load(struct peer *peer, struct keyd *keyd, const struct setup *setup)
{
    unsigned (*get)(unsigned, const struct AZIOT_KEYS_FUNCTION_LIST **) = NULL;
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    if (setup->aziot_library == NULL)
        return peer_fails(peer, "not built");
    keyd->library = dlopen(setup->aziot_library, RTLD_NOW | RTLD_LOCAL);
    if (keyd->library == NULL)
        return peer_fails(peer, "%s", dlerror());
    *(void **)&get = dlsym(keyd->library, "aziot_keys_get_function_list");
    if (get == NULL || get(AZIOT_KEYS_VERSION_2_1_0_0, &list) != AZIOT_KEYS_RC_OK)
        return peer_fails(peer, "%s gives no functions", setup->aziot_library);
    keyd->keys = (const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
    return keyd->keys->set_parameter("homedir_path", setup->aziot_homedir) == AZIOT_KEYS_RC_OK ||
        peer_fails(peer, "keyd's home %s is refused", setup->aziot_homedir);
}

static bool open_as(struct peer *peer, const struct setup *setup, const char *id, unsigned mechanism)
{
    struct keyd *keyd = new_zeroed(1, sizeof(*keyd));
    peer->state = keyd;
    keyd->id = id;
    keyd->mechanism = mechanism;
    return load(peer, keyd, setup);
}

bool keyd_pair_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, "device-id", AZIOT_KEYS_SIGN_MECHANISM_ECDSA);
}

bool keyd_named_open(struct peer *peer, const struct setup *setup)
{
    const struct keyd *keyd;
    if (!open_as(peer, setup, "est-id", AZIOT_KEYS_SIGN_MECHANISM_ECDSA))
        return false;
    keyd = peer->state;
    return keyd->keys->set_parameter("preloaded_key:est-id", "tpm2cloud:ldevid") == AZIOT_KEYS_RC_OK ||
        peer_fails(peer, "the place of est-id is refused");
}

bool keyd_hmac_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, "aziot_identityd_master_id", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256);
}

bool keyd_validation_open(struct peer *peer, const struct setup *setup)
{
    return open_as(peer, setup, "handle-validation-key", AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256);
}

bool keyd_sign(struct peer *peer)
{
    const struct keyd *keyd = peer->state;
    const bool pair = keyd->mechanism == AZIOT_KEYS_SIGN_MECHANISM_ECDSA;
    const unsigned char *in = pair ? digest : bench_message;
    const size_t in_len = pair ? sizeof(digest) : MESSAGE_LEN;
    unsigned char out[128];
    uintptr_t len = 0;
    return keyd->keys->sign(keyd->id, keyd->mechanism, NULL, in, in_len, NULL, &len) == AZIOT_KEYS_RC_OK &&
        len <= sizeof(out) &&
        keyd->keys->sign(keyd->id, keyd->mechanism, NULL, in, in_len, out, &len) == AZIOT_KEYS_RC_OK;
}

void keyd_close(struct peer *peer)
{
    struct keyd *keyd = peer->state;
    if (keyd->library != NULL)
        dlclose(keyd->library);
    free(keyd);
}
