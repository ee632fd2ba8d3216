/*
 * The stock library names objects by label alone and takes the first, so that later ones of a label are not seen here either.
 * An id that is preloaded has its key there and nowhere else.
 *
 * A PIN opens a sealed key, by which the authorization values of a token's objects are encrypted (aziot_pkcs11_secret.h). It is
 * opened once for each token, when a key is adopted.
 */
#include "aziot_pkcs11.h"

#include "aziot_pkcs11_map.h"
#include "aziot_pkcs11_secret.h"
#include "aziot_pkcs11_store.h"
#include "tpm2cloud/auth.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Attributes, and what they say. Spec: PKCS #11 2.40, and tpm2-pkcs11's own from 0x8F000001 on. */
#define CLASS "0"
#define LABEL "3"
#define KEY_TYPE "256"
#define AUTH_WRAPPED "2399141889"
#define PUBLIC_BLOB "2399141890"
#define PRIVATE_BLOB "2399141891"
#define CLASS_PRIVATE 3
#define CLASS_SECRET 4
#define KEY_TYPE_AES 0x1F
#define NONE UINT64_MAX

struct token {
    struct token *next;
    struct pkcs11_token stored;
    struct t2c_bytes pin;
    bool has_pin;
    struct t2c_bytes sealed; /* what the PIN opened; empty: not yet */
};

struct entry {
    struct entry *next;
    struct pkcs11_key key;
    char label[300]; /* in messages */
    struct token *token;
    struct t2c_foreign blob;
    struct t2c_bytes wrapped; /* its authorization value; empty: none */
};

struct pkcs11_keys {
    struct token *tokens;
    struct entry *first, *last;
    size_t n;
};

static void entry_free(struct entry *entry)
{
    free(entry->key.id);
    free(entry->key.token);
    free(entry->key.object);
    t2c_bytes_fini(&entry->blob.pub);
    t2c_bytes_fini(&entry->blob.priv);
    t2c_bytes_fini(&entry->wrapped);
    free(entry);
}

static void token_free(struct token *token)
{
    pkcs11_token_fini(&token->stored);
    t2c_bytes_fini(&token->pin);
    t2c_bytes_fini(&token->sealed);
    free(token);
}

T2C_DEFINE_FREEP(entry_freep, struct entry, entry_free)
T2C_DEFINE_FREEP(token_freep, struct token, token_free)

void pkcs11_keys_close(struct pkcs11_keys *keys)
{
    for (struct entry *entry = keys->first, *next; entry != NULL; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
    for (struct token *token = keys->tokens, *next; token != NULL; token = next) {
        next = token->next;
        token_free(token);
    }
    free(keys);
}

size_t pkcs11_keys_count(const struct pkcs11_keys *keys)
{
    return keys->n;
}

static struct entry *entry_at(const struct pkcs11_keys *keys, size_t i)
{
    struct entry *entry = keys->first;
    while (i-- > 0)
        entry = entry->next;
    return entry;
}

const struct pkcs11_key *pkcs11_keys_at(const struct pkcs11_keys *keys, size_t i)
{
    return &entry_at(keys, i)->key;
}

/* ---- tokens ---- */

/* A token may have been made to want no PIN. */
static bool find_pin(
    const struct pkcs11_config *config, const struct t2c_pkcs11_uri *uri, struct token *token, struct t2c_error *err)
{
    const char *empty;
    size_t empty_len;
    token->has_pin = true;
    if (config->pin_from != NULL)
        return t2c_auth_read(config->pin_from, &token->pin, err) || t2c_fail_context(err, "the PIN of a token");
    if (uri->has_pin)
        return t2c_bytes_append(&token->pin, uri->pin.data, uri->pin.len, err);
    if (!pkcs11_map_text(&token->stored.config, "empty-user-pin", &empty, &empty_len, err))
        return false;
    token->has_pin = empty_len == 4 && memcmp(empty, "true", 4) == 0;
    return true;
}

/* Gives the token of URI. Two URIs of one token may have two PINs, of which the first that there is counts. */
static bool find_token(struct pkcs11_keys *keys, struct pkcs11_store *store, const struct pkcs11_config *config,
    const struct t2c_pkcs11_uri *uri, struct token **out, struct t2c_error *err)
{
    T2C_CLEANUP(token_freep) struct token *token = calloc(1, sizeof(*token));
    if (token == NULL)
        return t2c_fail_nomem(err);
    if (!pkcs11_store_token(store, uri, &token->stored, err))
        return false;
    for (struct token *known = keys->tokens; known != NULL; known = known->next)
        if (known->stored.id == token->stored.id) {
            *out = known;
            return known->has_pin || find_pin(config, uri, known, err);
        }
    if (!find_pin(config, uri, token, err))
        return false;
    token->next = keys->tokens;
    *out = keys->tokens = token;
    token = NULL;
    return true;
}

static const char *label_of(const struct token *token)
{
    return token->stored.label.len > 0 ? (const char *)token->stored.label.data : "without label";
}

/* ---- what becomes of an object ---- */

static void set_aside(struct entry *entry, const char *why)
{
    entry->key.fate = PKCS11_ASIDE;
    snprintf(entry->key.why, sizeof(entry->key.why), "%s", why);
}

static bool take_blobs(struct entry *entry, const struct t2c_bytes *attributes, struct t2c_error *err)
{
    bool pub = false, priv = false, wrapped = false;
    return (pkcs11_map_hex(attributes, PUBLIC_BLOB, &entry->blob.pub, &pub, err) &&
               pkcs11_map_hex(attributes, PRIVATE_BLOB, &entry->blob.priv, &priv, err) &&
               pkcs11_map_hex(attributes, AUTH_WRAPPED, &entry->wrapped, &wrapped, err) &&
               ((pub && priv) || t2c_fail(err, T2C_INVALID, "it lacks what the TPM needs"))) ||
        t2c_fail_context(err, "%s", entry->label);
}

/* Only what is known for good decides; else the caller stops. */
static bool decide(struct entry *entry, const struct t2c_bytes *attributes, struct t2c_error *err)
{
    struct t2c_error why = {0};
    uint64_t class = 0, type = 0;
    if (!pkcs11_map_number(attributes, CLASS, NONE, &class, err) ||
        !pkcs11_map_number(attributes, KEY_TYPE, NONE, &type, err))
        return false;
    entry->key.pair = class == CLASS_PRIVATE;
    if (class == CLASS_SECRET && type == KEY_TYPE_AES)
        set_aside(entry, "it is an AES key inside of the TPM, which nobody but tpm2-pkcs11 uses so");
    else if (entry->token->stored.primary_auth.len > 0)
        set_aside(entry, "the storage key that it is below has an authorization value");
    else if (take_blobs(entry, attributes, &why) && t2c_adopt_check(&entry->blob, &why))
        entry->key.fate = PKCS11_ADOPT;
    else if (why.code == T2C_INVALID)
        set_aside(entry, why.text);
    else
        return t2c_fail_with(err, &why);
    return true;
}

/* ---- the list ---- */

static void add(struct pkcs11_keys *keys, struct entry *entry)
{
    *(keys->last != NULL ? &keys->last->next : &keys->first) = entry;
    keys->last = entry;
    keys->n++;
}

static struct entry *entry_new(
    struct token *token, const char *token_label, const char *id, const char *object, struct t2c_error *err)
{
    T2C_CLEANUP(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL || (entry->key.id = strdup(id)) == NULL || (entry->key.token = strdup(token_label)) == NULL ||
        (entry->key.object = strdup(object)) == NULL) {
        t2c_fail_nomem(err);
        return NULL;
    }
    snprintf(entry->label, sizeof(entry->label), "object %s of the token %s", object, token_label);
    entry->blob.label = entry->label;
    entry->token = token;
    return T2C_STEAL(entry);
}

static bool is_taken(const struct pkcs11_keys *keys, const char *id, const struct token *token, const char *object)
{
    for (const struct entry *entry = keys->first; entry != NULL; entry = entry->next)
        if (strcmp(entry->key.id, id) == 0 || (entry->token == token && strcmp(entry->key.object, object) == 0))
            return true;
    return false;
}

struct search {
    struct pkcs11_keys *keys;
    struct token *token;
    const char *id, *object; /* NULL: all, each with its label as id */
    bool found;
};

/* Gives the label of a key, empty for what is none or has none. */
static bool read_label(const struct t2c_bytes *attributes, struct t2c_bytes *out, struct t2c_error *err)
{
    uint64_t class = 0;
    bool found = false;
    if (!pkcs11_map_number(attributes, CLASS, NONE, &class, err))
        return false;
    return (class != CLASS_PRIVATE && class != CLASS_SECRET) || pkcs11_map_hex(attributes, LABEL, out, &found, err);
}

static bool take_object(void *arg, const struct t2c_bytes *attributes, struct t2c_error *err)
{
    struct search *search = arg;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes label = {0};
    if (!read_label(attributes, &label, err))
        return t2c_fail_context(err, "an object of the token %s", label_of(search->token));
    if (label.len == 0 || strlen((const char *)label.data) != label.len || search->found)
        return true;
    const char *object = (const char *)label.data, *id = search->id != NULL ? search->id : object;
    if (search->object != NULL ? strcmp(object, search->object) != 0
                               : is_taken(search->keys, id, search->token, object))
        return true;
    search->found = search->object != NULL;
    T2C_CLEANUP(entry_freep) struct entry *entry = entry_new(search->token, label_of(search->token), id, object, err);
    if (entry == NULL || !decide(entry, attributes, err))
        return false;
    add(search->keys, T2C_STEAL(entry));
    return true;
}

/* A line of the list for what is not there at all. */
static bool add_missing(
    struct pkcs11_keys *keys, const char *id, const struct t2c_pkcs11_uri *uri, const char *why, struct t2c_error *err)
{
    const char *token = uri->token[0] != '\0' ? uri->token : uri->slot_id;
    T2C_CLEANUP(entry_freep) struct entry *entry = entry_new(NULL, token, id, uri->object, err);
    if (entry == NULL)
        return false;
    entry->key.pair = true;
    set_aside(entry, why);
    add(keys, T2C_STEAL(entry));
    return true;
}

/* ID: NULL for a base slot, whose objects are all taken. */
static bool take_place(struct pkcs11_keys *keys, struct pkcs11_store *store, const struct pkcs11_config *config,
    const char *id, const char *text, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_pkcs11_uri_fini) struct t2c_pkcs11_uri uri = {0};
    struct search search = {.keys = keys, .id = id};
    struct t2c_error why = {0};
    if (!t2c_pkcs11_parse(text, &uri, err))
        return t2c_fail_context(err, "%s", id != NULL ? id : "pkcs11_base_slot");
    if (!find_token(keys, store, config, &uri, &search.token, &why)) {
        if (why.code != T2C_NOT_FOUND || id == NULL)
            return t2c_fail_with(err, &why);
        return add_missing(keys, id, &uri, why.text, err);
    }
    if (id != NULL)
        search.object = uri.object;
    if (!pkcs11_store_objects(store, &search.token->stored, take_object, &search, err))
        return false;
    return id == NULL || search.found || add_missing(keys, id, &uri, "the token has no such key", err);
}

/* A PIN may have been said in the last place only. */
static void want_pins(struct pkcs11_keys *keys)
{
    for (struct entry *entry = keys->first; entry != NULL; entry = entry->next) {
        if (entry->key.fate != PKCS11_ADOPT || entry->token->has_pin)
            continue;
        entry->key.fate = PKCS11_PIN;
        snprintf(entry->key.why, sizeof(entry->key.why),
            "nobody said the PIN of the token %s: --pin-from file:/path, env:NAME or cred:NAME", entry->key.token);
    }
}

static bool find_store(const struct pkcs11_config *config, struct pkcs11_store **out, struct t2c_error *err)
{
    const char *named = config->store != NULL ? config->store : getenv("TPM2_PKCS11_STORE");
    char home[PATH_MAX];
    struct t2c_error why = {0};
    if (named != NULL)
        return pkcs11_store_open(named, out, err);
    snprintf(home, sizeof(home), "%s/.tpm2_pkcs11", config->homedir != NULL ? config->homedir : "");
    const char *const places[] = {"/etc/tpm2_pkcs11", home, "/opt/tpm2-pkcs11"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (pkcs11_store_open(places[i], out, &why))
            return true;
        if (why.code != T2C_NOT_FOUND)
            break;
    }
    return t2c_fail_with(err, &why);
}

bool pkcs11_keys_open(const struct pkcs11_config *config, struct pkcs11_keys **out, struct t2c_error *err)
{
    T2C_CLEANUP(pkcs11_store_closep) struct pkcs11_store *store = NULL;
    T2C_CLEANUP(pkcs11_keys_closep) struct pkcs11_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL)
        return t2c_fail_nomem(err);
    if (!find_store(config, &store, err))
        return false;
    for (size_t i = 0; i < config->preloaded_n; i++)
        if (!take_place(keys, store, config, config->preloaded[i].id, config->preloaded[i].uri, err))
            return false;
    if (config->base_slot != NULL && !take_place(keys, store, config, NULL, config->base_slot, err))
        return false;
    want_pins(keys);
    *out = T2C_STEAL(keys);
    return true;
}

/* ---- adopting ---- */

static bool open_sealed(struct token *token, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    struct t2c_error why = {0};
    if (token->sealed.len > 0)
        return true;
    if (token->stored.sealed.pub.len == 0)
        return t2c_fail(err, T2C_INVALID, "it has no PIN of a user yet");
    if (!pkcs11_secret_of_pin(&token->pin, &token->stored.salt, &auth, err))
        return false;
    if (t2c_adopt_unseal(&token->stored.sealed, &auth, &token->sealed, &why))
        return true;
    t2c_fail_with(err, &why);
    return why.code == T2C_AUTH && t2c_fail_context(err, "its PIN is not the one that was said");
}

bool pkcs11_keys_adopt(struct pkcs11_keys *keys, size_t i, struct t2c_bytes *pem, struct t2c_error *err)
{
    const struct entry *entry = entry_at(keys, i);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes auth = {0};
    if (entry->key.fate != PKCS11_ADOPT)
        return t2c_fail(err, T2C_INVALID, "%s cannot be adopted: %s", entry->label, entry->key.why);
    if (entry->wrapped.len > 0 && !open_sealed(entry->token, err))
        return t2c_fail_context(err, "the token %s", entry->key.token);
    if (entry->wrapped.len > 0 && !pkcs11_secret_unwrap(&entry->token->sealed, &entry->wrapped, &auth, err))
        return t2c_fail_context(err, "%s", entry->label);
    return t2c_adopt_key(&entry->blob, &auth, pem, err);
}
