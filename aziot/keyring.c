/*
 * What is open is a list of entries by id. Each is asked before its use whether it is what lies in its place still.
 */
#include "keyring.h"

#include "aead.h"
#include "algorithms.h"
#include "aziot_keys.h"
#include "blame.h"
#include "entry.h"
#include "stock.h"
#include "tpm2cloud/aziot_stock.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/name.h"
#include <string.h>

#define KEY_MAX 65536 /* bytes of a symmetric key */

/* Of every file here: keyd's user alone. */
static const struct t2c_file_owner owner = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};

struct keyring {
    const struct settings *settings;
    struct entry *first;
};

struct keyring *keyring_new(const struct settings *settings)
{
    struct keyring *ring = calloc(1, sizeof(*ring));
    if (ring != NULL)
        ring->settings = settings;
    return ring;
}

void keyring_free(struct keyring *ring)
{
    if (ring == NULL)
        return;
    for (struct entry *next; ring->first != NULL; ring->first = next) {
        next = ring->first->next;
        entry_free(ring->first);
    }
    free(ring);
}

static struct entry *find(const struct keyring *ring, const char *id)
{
    struct entry *entry = ring->first;
    while (entry != NULL && strcmp(entry->id, id) != 0)
        entry = entry->next;
    return entry;
}

static void forget(struct keyring *ring, const char *id)
{
    for (struct entry **at = &ring->first; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->id, id) == 0) {
            struct entry *entry = *at;
            *at = entry->next;
            entry_free(entry);
            return;
        }
}

/* ---- opening ---- */

/* PAIR: it is to be a key pair; one of the other kind is given all the same. */
static bool get(struct keyring *ring, const char *id, bool pair, struct entry **out, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location location = {0};
    struct entry *entry = find(ring, id);
    if (!location_find(ring->settings, id, &location, err) || !stock_settle(&location, id, pair, err))
        return false;
    if (entry == NULL || !entry_is_current(entry, &location)) {
        forget(ring, id);
        entry = entry_open(&location, id, err);
        if (entry == NULL)
            return false;
        entry->next = ring->first;
        ring->first = entry;
    }
    *out = entry;
    return true;
}

static bool get_pair(struct keyring *ring, const char *id, struct entry **out, struct t2c_error *err)
{
    if (!get(ring, id, true, out, err))
        return false;
    return (*out)->is_pair || t2c_fail(err, T2C_EXISTS, "it is a symmetric key, and no key pair");
}

static bool get_symmetric(struct keyring *ring, const char *id, struct entry **out, struct t2c_error *err)
{
    if (!get(ring, id, false, out, err))
        return false;
    if ((*out)->is_pair)
        return t2c_fail(err, T2C_EXISTS, "it is a key pair, and no symmetric key");
    return !t2c_aziot_is_kept(id) || symmetric_keep(&(*out)->symmetric, err);
}

bool keyring_pair(struct keyring *ring, const char *id, const struct pair **out, struct t2c_error *err)
{
    struct entry *entry = NULL;
    if (!get_pair(ring, id, &entry, err))
        return false;
    *out = &entry->pair;
    return true;
}

bool keyring_symmetric(struct keyring *ring, const char *id, const struct symmetric **out, struct t2c_error *err)
{
    struct entry *entry = NULL;
    if (!get_symmetric(ring, id, &entry, err))
        return false;
    *out = &entry->symmetric;
    return true;
}

bool keyring_load_pair(struct keyring *ring, const char *id, struct t2c_error *err)
{
    struct entry *entry = NULL;
    return get_pair(ring, id, &entry, err) && entry_load(entry, err);
}

bool keyring_load_symmetric(struct keyring *ring, const char *id, struct t2c_error *err)
{
    struct entry *entry = NULL;
    return get_symmetric(ring, id, &entry, err) && entry_load(entry, err);
}

/* ---- making ---- */

static bool is_read_only(const struct location *location)
{
    return location->kind == LOCATION_NAME || location->kind == LOCATION_TOKEN;
}

static bool fail_read_only(const char *what, struct t2c_error *err)
{
    return t2c_fail(
        err, T2C_INVALID, "its place is preloaded with a key of the TPM, which keyd may use and not %s", what);
}

/* Writes RECORD, in place of one that is there if REPLACE. */
static bool write_record(const struct keyring *ring, const struct location *location,
    const struct t2c_aziot_record *record, bool replace, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    struct t2c_error why = {0};
    if (!location_make_dir(ring->settings, &why) || !t2c_aziot_record_encode(record, &data, &why))
        return blame_machine(&why) || location_fail_home(&why, err);
    t2c_file_tidy(location->path);
    return (replace ? t2c_file_replace(location->path, data.data, data.len, &owner, &why)
                    : t2c_file_create(location->path, data.data, data.len, &owner, &why)) ||
        blame_machine(&why) || location_fail_home(&why, err);
}

/* Makes a key of the first of ALGORITHMS that the TPM has. */
static bool make_blob(
    const struct settings *settings, const char *algorithms, struct t2c_bytes *out, struct t2c_error *err)
{
    struct algorithms wanted = {0};
    if (!algorithms_parse(algorithms, settings->rsa, &wanted, err))
        return false;
    for (size_t i = 0; i < wanted.n; i++) {
        const struct t2c_key_spec spec = {.alg = wanted.list[i]};
        bool has = false;
        if (!t2c_key_has_alg(spec.alg, &has, err))
            return blame_machine(err);
        if (has)
            return t2c_name_create_blob(&spec, out, err) || blame_machine(err);
    }
    return t2c_fail(err, T2C_INVALID, "this TPM has none of the algorithms \"%s\"", algorithms);
}

/* A preloaded file that is missing gets a key of the TPM, too. */
static bool make_pair(
    struct keyring *ring, const struct location *location, const char *algorithms, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = true};
    if (!make_blob(ring->settings, algorithms, &record.key, err))
        return false;
    if (location->kind == LOCATION_FILE)
        return t2c_file_create(location->path, record.key.data, record.key.len, &owner, err) || blame_machine(err);
    return write_record(ring, location, &record, false, err);
}

/* Says whether a symmetric key is in the record where a pair would be made; what was looked for there has just been opened. */
static bool is_symmetric_record(const struct keyring *ring, const char *id, const struct location *location)
{
    const struct entry *entry = find(ring, id);
    return location->kind == LOCATION_RECORD && entry != NULL && !entry->is_pair;
}

/* A device that goes from SAS to X.509 asks for a pair under the id of its symmetric key. */
static bool set_symmetric_aside(const char *id, const struct location *location, struct t2c_error *err)
{
    if (!t2c_aziot_set_aside(location->path, T2C_AZIOT_REPLACED, err))
        return blame_machine(err);
    t2c_log(T2C_LOG_WARNING,
        "%s: is a symmetric key, and becomes a key pair; the old one is kept as %s" T2C_AZIOT_REPLACED, id,
        location->path);
    return true;
}

bool keyring_create_pair(struct keyring *ring, const char *id, const char *algorithms, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location location = {0};
    struct t2c_error why = {0};
    if (keyring_load_pair(ring, id, &why))
        return true;
    if (!location_find(ring->settings, id, &location, err))
        return false;
    bool symmetric = why.code == T2C_EXISTS && is_symmetric_record(ring, id, &location);
    if (is_read_only(&location) || (why.code != T2C_NOT_FOUND && !symmetric && !stock_is_no_pair(&location)))
        return t2c_fail_with(err, &why);
    return (!symmetric || set_symmetric_aside(id, &location, err)) && stock_give_way(&location, id, true, err) &&
        make_pair(ring, &location, algorithms, err) && keyring_load_pair(ring, id, err);
}

static bool check_usage(unsigned usage, struct t2c_error *err)
{
    return (usage & ~(AZIOT_KEYS_KEY_USAGE_SIGN | AZIOT_KEYS_KEY_USAGE_ENCRYPT)) == 0 ||
        t2c_fail(err, T2C_INVALID, "there is no usage 0x%x", usage);
}

static bool fill_record(const char *id, unsigned usage, const struct t2c_bytes *plain, struct t2c_aziot_record *record,
    struct t2c_error *err)
{
    record->usage = usage;
    return t2c_aziot_record_fill(id, plain, (usage & AZIOT_KEYS_KEY_USAGE_SIGN) != 0,
               (usage & AZIOT_KEYS_KEY_USAGE_ENCRYPT) != 0, record, err) ||
        blame_machine(err);
}

static bool append_random(struct t2c_bytes *out, struct t2c_error *err)
{
    uint8_t random[AEAD_KEY_LEN];
    bool ok = t2c_host_random(random, sizeof(random), err) && t2c_bytes_append(out, random, sizeof(random), err);
    OPENSSL_cleanse(random, sizeof(random));
    return ok;
}

/* One that never comes out of the TPM is made there. */
static bool make_symmetric(
    struct keyring *ring, const struct location *location, const char *id, unsigned usage, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {0};
    bool comes_out = t2c_aziot_is_kept(id) || (usage & AZIOT_KEYS_KEY_USAGE_ENCRYPT) != 0;
    return (!comes_out || append_random(&plain, err)) &&
        fill_record(id, usage, comes_out ? &plain : NULL, &record, err) &&
        write_record(ring, location, &record, false, err);
}

bool keyring_create_symmetric(struct keyring *ring, const char *id, unsigned usage, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location location = {0};
    struct t2c_error why = {0};
    if (keyring_load_symmetric(ring, id, &why))
        return true;
    if (why.code != T2C_NOT_FOUND || !location_find(ring->settings, id, &location, err) ||
        location.kind != LOCATION_RECORD)
        return t2c_fail_with(err, &why);
    return check_usage(usage, err) && stock_check_master(&location, id, err) &&
        make_symmetric(ring, &location, id, usage, err) && keyring_load_symmetric(ring, id, err);
}

bool keyring_import(
    struct keyring *ring, const char *id, const uint8_t *bytes, size_t bytes_len, unsigned usage, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location location = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes plain = {0};
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {0};
    if (!location_find(ring->settings, id, &location, err))
        return false;
    if (is_read_only(&location))
        return fail_read_only("replace", err);
    if (location.kind == LOCATION_FILE)
        return t2c_fail(err, T2C_INVALID, "its place is preloaded as %s; put the key there yourself", location.path);
    if (bytes == NULL || bytes_len == 0 || bytes_len > KEY_MAX)
        return t2c_fail(err, T2C_INVALID, "a key of %zu bytes; it has 1 to %d", bytes_len, KEY_MAX);
    if (!check_usage(usage, err))
        return false;
    if (!t2c_bytes_append(&plain, bytes, bytes_len, err) || !fill_record(id, usage, &plain, &record, err) ||
        !stock_give_way(&location, id, false, err) || !write_record(ring, &location, &record, true, err))
        return false;
    forget(ring, id);
    return true;
}

/* ---- removing and moving ---- */

bool keyring_delete(struct keyring *ring, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location location = {0};
    if (!location_find(ring->settings, id, &location, err))
        return false;
    if (is_read_only(&location))
        return fail_read_only("remove", err);
    forget(ring, id);
    t2c_file_tidy(location.path);
    return (stock_remove(&location, err) &&
               (t2c_file_is_missing(location.path) || t2c_file_remove(location.path, err))) ||
        blame_machine(err);
}

/* From a record to a preloaded file, or back: whole at one of the two places at any time. */
static bool to_file(const struct location *source, const struct location *target, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {0};
    t2c_file_tidy(target->path);
    return t2c_aziot_record_read(source->path, &record, err) &&
        t2c_file_replace(target->path, record.key.data, record.key.len, &owner, err) &&
        t2c_file_remove(source->path, err);
}

/* A software key becomes one of the TPM: records hold no other. */
static bool to_record(const struct keyring *ring, const struct pair *pair, const struct location *source,
    const struct location *target, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_record_fini) struct t2c_aziot_record record = {.pair = true};
    return (pair->tpm != NULL ? t2c_file_read(source->path, T2C_AZIOT_RECORD_MAX, &record.key, err)
                              : t2c_name_import_blob(pair->soft, &record.key, err)) &&
        write_record(ring, target, &record, true, err) && t2c_file_remove(source->path, err);
}

static bool move(const struct keyring *ring, const struct pair *pair, const struct location *source,
    const struct location *target, struct t2c_error *err)
{
    if (source->kind == target->kind)
        return t2c_file_rename(source->path, target->path, err);
    return target->kind == LOCATION_FILE ? to_file(source, target, err) : to_record(ring, pair, source, target, err);
}

bool keyring_move_pair(struct keyring *ring, const char *from, const char *to, struct t2c_error *err)
{
    T2C_CLEANUP(location_fini) struct location source = {0};
    T2C_CLEANUP(location_fini) struct location target = {0};
    const struct pair *pair = NULL;
    if (!location_find(ring->settings, from, &source, err) || !location_find(ring->settings, to, &target, err))
        return false;
    if (is_read_only(&source) || is_read_only(&target))
        return fail_read_only("move", err);
    if (!keyring_pair(ring, from, &pair, err) || !stock_give_way(&target, to, true, err))
        return false;
    bool ok = move(ring, pair, &source, &target, err) || blame_machine(err);
    forget(ring, from);
    forget(ring, to);
    return ok;
}
