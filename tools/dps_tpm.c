/*
 * The key of a challenge is used as a transient object, and only a registration that was completed gives it its handle: until
 * then the one that is there, ours or that of aziot-tpmd, which has the same place for it, goes on to serve.
 */
#include "dps_tpm.h"

#include "tpm2cloud/tpm.h"

#define TOKEN_LIFE_S 300
#define KEY_NAME "registration"

void dps_tpm_fini(struct dps_tpm *tpm)
{
    t2c_attester_freep(&tpm->attester);
    t2c_key_freep(&tpm->key);
    t2c_bytes_fini(&tpm->ek);
    t2c_bytes_fini(&tpm->srk);
    t2c_bytes_fini(&tpm->token);
}

bool dps_tpm_open(struct dps_tpm *tpm, bool make, struct t2c_error *err)
{
    if (tpm->attester != NULL)
        return true;
    return (!make || t2c_identity_ensure_srk(NULL, err)) && t2c_attester_open(&tpm->attester, err) &&
        t2c_attester_ek(tpm->attester, &tpm->ek, err) && t2c_attester_srk(tpm->attester, &tpm->srk, err);
}

bool dps_tpm_accept(struct dps_tpm *tpm, const struct t2c_bytes *blob, struct t2c_error *err)
{
    struct t2c_key *key = NULL;
    if (!t2c_attester_accept(tpm->attester, blob->data, blob->len, "the key of DPS", &key, err))
        return false;
    t2c_key_free(tpm->key);
    tpm->key = key;
    t2c_bytes_clear(&tpm->token);
    return true;
}

bool dps_tpm_sign(struct t2c_key *key, const struct t2c_sas_claim *claim, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    uint8_t mac[T2C_HMAC_LEN];
    return t2c_sas_to_sign(claim, &text, err) && t2c_secret_hmac(key, false, text.data, text.len, mac, err) &&
        t2c_sas_token(claim, mac, sizeof(mac), out, err);
}

static bool make_token(struct dps_tpm *tpm, const struct dps_target *target, int64_t expires_s, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes resource = {0};
    if (!dps_resource(target, &resource, err))
        return false;
    const struct t2c_sas_claim claim = {(const char *)resource.data, KEY_NAME, expires_s};
    t2c_bytes_clear(&tpm->token);
    return dps_tpm_sign(tpm->key, &claim, &tpm->token, err);
}

bool dps_tpm_token(
    struct dps_tpm *tpm, const struct dps_target *target, int64_t now_s, const char **out, struct t2c_error *err)
{
    *out = NULL;
    if (tpm->key == NULL)
        return true;
    if (tpm->token.len == 0 || tpm->token_expires_s - now_s < TOKEN_LIFE_S / 2) {
        if (!make_token(tpm, target, now_s + TOKEN_LIFE_S, err))
            return false;
        tpm->token_expires_s = now_s + TOKEN_LIFE_S;
        t2c_tpm_close(); /* so that nothing is loaded while we wait for the server */
    }
    *out = (const char *)tpm->token.data;
    return true;
}

bool dps_tpm_keep(struct dps_tpm *tpm, uint32_t handle, char name[T2C_KEY_NAME_HEX_MAX], struct t2c_error *err)
{
    return t2c_key_name_hex(tpm->key, name, T2C_KEY_NAME_HEX_MAX, err) && t2c_secret_replace(tpm->key, handle, err);
}

bool dps_tpm_kept(uint32_t handle, char name[T2C_KEY_NAME_HEX_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    name[0] = '\0';
    if (!t2c_secret_open_handle(handle, &key, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    return t2c_key_name_hex(key, name, T2C_KEY_NAME_HEX_MAX, err);
}
