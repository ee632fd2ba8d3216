/*
 * Tables: pobjects (primary keys), tokens, sealobjects (what a PIN opens), tobjects (the objects, each a map of attributes).
 * The columns are the same since version 4 of the schema, tpm2-pkcs11 1.6.
 */
#include "aziot_pkcs11_store.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DIR_OF_MACHINE "/etc/tpm2_pkcs11"
#define SCHEMA_MIN 4
#define PATIENCE_MS 5000 /* for one who writes it */

struct pkcs11_store {
    sqlite3 *db;
    char path[PATH_MAX];
};

const char *pkcs11_store_dir(void)
{
    const char *named = secure_getenv("TPM2_PKCS11_STORE");
    return named != NULL && named[0] == '/' ? named : DIR_OF_MACHINE;
}

T2C_DEFINE_FREEP(statement_freep, sqlite3_stmt, sqlite3_finalize)

void pkcs11_token_fini(struct pkcs11_token *token)
{
    t2c_bytes_fini(&token->label);
    t2c_bytes_fini(&token->config);
    t2c_bytes_fini(&token->primary_auth);
    t2c_bytes_fini(&token->sealed.pub);
    t2c_bytes_fini(&token->sealed.priv);
    t2c_bytes_fini(&token->salt);
}

static bool fail_sqlite(const struct pkcs11_store *store, struct t2c_error *err)
{
    return t2c_fail(err, T2C_IO, "cannot read %s: %s", store->path, sqlite3_errmsg(store->db));
}

static sqlite3_stmt *prepare(const struct pkcs11_store *store, const char *sql, struct t2c_error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_sqlite(store, err);
    return statement;
}

/* *row tells whether there is one more. */
static bool step(const struct pkcs11_store *store, sqlite3_stmt *statement, bool *row, struct t2c_error *err)
{
    int result = sqlite3_step(statement);
    *row = result == SQLITE_ROW;
    return result == SQLITE_ROW || result == SQLITE_DONE || fail_sqlite(store, err);
}

static bool append_column(sqlite3_stmt *statement, int column, struct t2c_bytes *out, struct t2c_error *err)
{
    const void *data = sqlite3_column_blob(statement, column);
    return data == NULL || t2c_bytes_append(out, data, (size_t)sqlite3_column_bytes(statement, column), err);
}

void pkcs11_store_close(struct pkcs11_store *store)
{
    sqlite3_close(store->db);
    free(store);
}

static bool check_schema(const struct pkcs11_store *store, struct t2c_error *err)
{
    T2C_CLEANUP(statement_freep) sqlite3_stmt *statement = prepare(store, "SELECT schema_version FROM schema", err);
    bool row = false;
    if (statement == NULL || !step(store, statement, &row, err))
        return false;
    int version = row ? sqlite3_column_int(statement, 0) : 0;
    return version >= SCHEMA_MIN ||
        t2c_fail(err, T2C_INVALID, "%s has the form of tpm2-pkcs11 before 1.6 (%d); bring it up with: tpm2_ptool dbup",
            store->path, version);
}

bool pkcs11_store_open(const char *dir, struct pkcs11_store **out, struct t2c_error *err)
{
    T2C_CLEANUP(pkcs11_store_closep) struct pkcs11_store *store = calloc(1, sizeof(*store));
    struct stat file;
    if (store == NULL)
        return t2c_fail_nomem(err);
    if (snprintf(store->path, sizeof(store->path), "%s/" PKCS11_STORE_FILE, dir) >= (int)sizeof(store->path))
        return t2c_fail(err, T2C_INVALID, "%s is too long", dir);
    if (stat(store->path, &file) != 0 || file.st_size == 0)
        return t2c_fail(err, T2C_NOT_FOUND,
            "no store of tpm2-pkcs11 in %s (" PKCS11_STORE_FILE
            "); $TPM2_PKCS11_STORE of the unit aziot-keyd names its directory",
            dir);
    if (sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return store->db != NULL ? fail_sqlite(store, err) : t2c_fail_nomem(err);
    sqlite3_busy_timeout(store->db, PATIENCE_MS);
    if (!check_schema(store, err))
        return false;
    *out = T2C_STEAL(store);
    return true;
}

#define TOKEN                                                                                         \
    "SELECT t.id, t.label, t.config, p.objauth, s.userpub, s.userpriv, s.userauthsalt FROM tokens t " \
    "JOIN pobjects p ON p.id = t.pid LEFT JOIN sealobjects s ON s.tokid = t.id WHERE "

static bool take_token(sqlite3_stmt *row, struct pkcs11_token *token, struct t2c_error *err)
{
    token->id = sqlite3_column_int64(row, 0);
    token->sealed.label = "what its PIN opens";
    return append_column(row, 1, &token->label, err) && append_column(row, 2, &token->config, err) &&
        append_column(row, 3, &token->primary_auth, err) && append_column(row, 4, &token->sealed.pub, err) &&
        append_column(row, 5, &token->sealed.priv, err) && append_column(row, 6, &token->salt, err);
}

bool pkcs11_store_token(
    struct pkcs11_store *store, const struct t2c_pkcs11_uri *uri, struct pkcs11_token *out, struct t2c_error *err)
{
    T2C_CLEANUP(pkcs11_token_fini) struct pkcs11_token token = {0};
    const bool labelled = uri->token[0] != '\0';
    const char *name = labelled ? uri->token : uri->slot_id;
    T2C_CLEANUP(statement_freep)
    sqlite3_stmt *statement = prepare(store, labelled ? TOKEN "t.label = ?1" : TOKEN "t.id = CAST(?1 AS INTEGER)", err);
    bool row = false;
    if (statement == NULL)
        return false;
    if (name[0] == '\0')
        return t2c_fail(err, T2C_INVALID, "a place in no token: token=LABEL or slot-id=NUMBER is missing");
    if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
        return fail_sqlite(store, err);
    if (!step(store, statement, &row, err))
        return false;
    if (!row)
        return t2c_fail(err, T2C_NOT_FOUND, "%s has no token %s%s", store->path, labelled ? "" : "in slot ", name);
    if (!take_token(statement, &token, err))
        return false;
    *out = token;
    token = (struct pkcs11_token){0};
    return true;
}

bool pkcs11_store_objects(struct pkcs11_store *store, const struct pkcs11_token *token, pkcs11_store_each *each,
    void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(statement_freep)
    sqlite3_stmt *statement = prepare(store, "SELECT attrs FROM tobjects WHERE tokid = ?1 ORDER BY id", err);
    bool row = true;
    if (statement == NULL)
        return false;
    if (sqlite3_bind_int64(statement, 1, token->id) != SQLITE_OK)
        return fail_sqlite(store, err);
    while (step(store, statement, &row, err) && row) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes attributes = {0};
        if (!append_column(statement, 0, &attributes, err) || !each(arg, &attributes, err))
            return false;
    }
    return !row;
}
