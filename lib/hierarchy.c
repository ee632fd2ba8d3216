/*
 * The four hierarchies of a TPM and where their authorization values come from: a source each in tpm2cloud.conf, over which a
 * variable of the environment wins; both name a place (auth.h), never the value. Refusals of owner, endorsement and
 * platform are not counted by a TPM; one of lockout closes that hierarchy for its recovery time, so nothing is sent there that is
 * known to be wrong. Spec: TPM 2.0 part 1, "Hierarchies" and "Dictionary Attack Protection".
 */
#include "hierarchy.h"

#include "forget.h"
#include "key.h"
#include "refused.h"
#include "session.h"
#include "tpm2cloud/auth.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct t2c_hierarchy {
    ESYS_TR tr;
    TPM2_HANDLE handle;
    const char *name;
    const char *variable;
    enum t2c_hierarchy_id id;
    TPMA_PERMANENT has_value; /* what the TPM tells of it, 0: nothing */
};

static const struct t2c_hierarchy hierarchies[] = {
    {ESYS_TR_RH_OWNER, TPM2_RH_OWNER, "owner", "TPM2CLOUD_OWNER_AUTH", T2C_HIERARCHY_OWNER,
        TPMA_PERMANENT_OWNERAUTHSET},
    {ESYS_TR_RH_ENDORSEMENT, TPM2_RH_ENDORSEMENT, "endorsement", "TPM2CLOUD_ENDORSEMENT_AUTH",
        T2C_HIERARCHY_ENDORSEMENT, TPMA_PERMANENT_ENDORSEMENTAUTHSET},
    {ESYS_TR_RH_LOCKOUT, TPM2_RH_LOCKOUT, "lockout", "TPM2CLOUD_LOCKOUT_AUTH", T2C_HIERARCHY_LOCKOUT,
        TPMA_PERMANENT_LOCKOUTAUTHSET},
    {ESYS_TR_RH_PLATFORM, TPM2_RH_PLATFORM, "platform", "TPM2CLOUD_PLATFORM_AUTH", T2C_HIERARCHY_PLATFORM, 0},
};

static const struct t2c_hierarchy *find(ESYS_TR tr)
{
    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++)
        if (hierarchies[i].tr == tr)
            return &hierarchies[i];
    return NULL;
}

const char *t2c_hierarchy_name(ESYS_TR tr)
{
    const struct t2c_hierarchy *hierarchy = find(tr);
    return hierarchy != NULL ? hierarchy->name : "null";
}

/* ---- the value ---- */

/* Gives the source of the value of HIERARCHY and, in *told, who named it: "" when nobody does. */
static bool find_source(const struct t2c_hierarchy *hierarchy, char *source, size_t source_len, char *told,
    size_t told_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    const char *named = t2c_conf_env(hierarchy->variable);
    const bool by_variable = named != NULL;
    if (!by_variable) {
        if (!t2c_settings_load(&settings, err))
            return false;
        named = settings.hierarchy_auth[hierarchy->id];
    }
    told[0] = '\0';
    if (named == NULL)
        return true;
    if (snprintf(source, source_len, "%s", named) >= (int)source_len)
        return t2c_fail(err, T2C_INVALID, "the source of the %s hierarchy's value is too long", hierarchy->name);
    if (by_variable)
        snprintf(told, told_len, "$%s", hierarchy->variable);
    else
        snprintf(told, told_len, "%s_auth = in tpm2cloud.conf", hierarchy->name);
    return true;
}

bool t2c_hierarchy_is_set(ESYS_TR tr)
{
    char source[512], told[128] = "";
    const struct t2c_hierarchy *hierarchy = find(tr);
    return hierarchy != NULL && find_source(hierarchy, source, sizeof(source), told, sizeof(told), NULL) &&
        told[0] != '\0';
}

/* Whether the TPM has no value for HIERARCHY, as it has none when it is new or was cleared. */
static bool is_open(struct t2c_tpm_use *use, const struct t2c_hierarchy *hierarchy, bool *out, struct t2c_error *err)
{
    uint32_t permanent = 0;
    *out = false;
    if (hierarchy->has_value == 0)
        return true;
    if (!t2c_tpm_property(use->esys, TPM2_PT_PERMANENT, &permanent, err))
        return false;
    *out = (permanent & hierarchy->has_value) == 0;
    return true;
}

static bool fail_missing(const struct t2c_hierarchy *hierarchy, struct t2c_error *err)
{
    return t2c_fail(err, T2C_AUTH,
        "the TPM's %s hierarchy has an authorization value that nothing here gives: say where it is with %s_auth = "
        "file:/PATH (or env:VAR, cred:ID) in tpm2cloud.conf, or with $%s",
        hierarchy->name, hierarchy->name, hierarchy->variable);
}

/* As refused.h knows it: a hierarchy's Name is its handle. Spec: TPM 2.0 part 1, "Names". */
static TPM2B_NAME name_of(const struct t2c_hierarchy *hierarchy)
{
    const TPM2_HANDLE handle = hierarchy->handle;
    return (TPM2B_NAME){
        .size = 4, .name = {(BYTE)(handle >> 24), (BYTE)(handle >> 16), (BYTE)(handle >> 8), (BYTE)handle}};
}

/* Reads the value, unless the TPM says that there is none. */
static bool read_value(struct t2c_grant *grant, struct t2c_error *err)
{
    const struct t2c_hierarchy *hierarchy = grant->hierarchy;
    char source[512];
    struct t2c_error why = {0};
    bool open = false;
    if (!find_source(hierarchy, source, sizeof(source), grant->source, sizeof(grant->source), err))
        return false;
    bool told = grant->source[0] != '\0';
    if (!told && hierarchy->id != T2C_HIERARCHY_LOCKOUT)
        return true; /* the TPM will say */
    if (!is_open(grant->use, hierarchy, &open, err))
        return false;
    if (open)
        return true;
    if (!told)
        return fail_missing(hierarchy, err);
    if (!t2c_auth_read(source, &grant->value, &why) || !t2c_key_trim_auth(&grant->value, &why))
        return t2c_fail(err, T2C_AUTH, "the %s hierarchy's value (%s): %s", hierarchy->name, grant->source, why.text);
    const TPM2B_NAME name = name_of(hierarchy);
    return !t2c_refused_is_known(&name, &grant->value) ||
        t2c_fail(err, T2C_AUTH, "the TPM refused the %s hierarchy's value (%s) and is not asked again: correct it",
            hierarchy->name, grant->source);
}

/* ---- the session ---- */

/* The recorded storage root key; NULL when there is no record, or no such key in the TPM as yet. */
static bool find_salt(struct t2c_tpm_use *use, struct t2c_object **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *srk = NULL;
    bool auth = false;
    struct t2c_error why = {0};
    if (!t2c_key_recorded_object(T2C_SRK_HANDLE, &srk, &auth, &why))
        return why.code == T2C_NOT_FOUND || why.code == T2C_AUTH || t2c_fail_with(err, &why);
    if (!t2c_object_ensure(use, srk, NULL, err))
        return false;
    if (!t2c_object_confirm(use, srk, "the storage key of the session", &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    *out = T2C_STEAL(srk);
    return true;
}

static bool start_session(struct t2c_grant *grant, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_object_freep) struct t2c_object *salt = NULL;
    TPM2B_AUTH auth = {.size = (UINT16)grant->value.len};
    if (!find_salt(grant->use, &salt, err))
        return false;
    memcpy(auth.buffer, grant->value.data, grant->value.len);
    TSS2_RC rc = Esys_TR_SetAuth(grant->use->esys, grant->hierarchy->tr, &auth);
    OPENSSL_cleanse(&auth, sizeof(auth));
    if (rc != TSS2_RC_SUCCESS)
        return t2c_fail_tss(err, rc, "cannot set the authorization of the %s hierarchy", grant->hierarchy->name);
    ESYS_TR session = ESYS_TR_NONE;
    if (!t2c_session_start(grant->use, salt, 0, &session, err))
        return false;
    grant->session = session;
    return true;
}

bool t2c_grant_begin(struct t2c_grant *grant, struct t2c_tpm_use *use, ESYS_TR hierarchy, struct t2c_error *err)
{
    grant->use = use;
    grant->hierarchy = find(hierarchy);
    grant->session = ESYS_TR_PASSWORD;
    if (grant->hierarchy == NULL)
        return true;
    return read_value(grant, err) && (grant->value.len == 0 || start_session(grant, err));
}

/* The hierarchy's ESYS_TR is everybody's: what is left there would go out in clear with a password session. */
static void end_session(struct t2c_grant *grant, bool command_failed)
{
    const TPM2B_AUTH zeros = {0};
    if (grant->session != ESYS_TR_NONE && grant->value.len > 0)
        t2c_forget_value(grant->use->esys, grant->hierarchy->tr, grant->session, grant->value.len);
    if (grant->value.len > 0)
        Esys_TR_SetAuth(grant->use->esys, grant->hierarchy->tr, &zeros);
    t2c_session_end(grant->use, grant->session, command_failed);
    grant->session = ESYS_TR_NONE;
}

void t2c_grant_fini(struct t2c_grant *grant)
{
    if (grant->use != NULL)
        end_session(grant, true);
    t2c_bytes_fini(&grant->value);
}

bool t2c_grant_is_refusal(TSS2_RC rc)
{
    return t2c_tss_is(rc, TPM2_RC_BAD_AUTH) || t2c_tss_is(rc, TPM2_RC_AUTH_FAIL);
}

/* What is to be done about a refusal, as the reason of the failure that *err tells. */
static bool explain(const struct t2c_grant *grant, struct t2c_error *err)
{
    const struct t2c_hierarchy *hierarchy = grant->hierarchy;
    const TPM2B_NAME name = name_of(hierarchy);
    struct t2c_error why = {0};
    if (grant->source[0] == '\0')
        fail_missing(hierarchy, &why);
    else {
        t2c_refused_note(&name, &grant->value);
        t2c_fail(&why, T2C_AUTH, "the value of the TPM's %s hierarchy is wrong: correct what %s names", hierarchy->name,
            grant->source);
    }
    return t2c_fail_context(&why, "%s", err->text) || t2c_fail_with(err, &why);
}

/* A TPM that was given a wrong value for the lockout hierarchy takes none for a while. */
static bool fail_closed(const struct t2c_grant *grant, const char *what, struct t2c_error *err)
{
    uint32_t recovery_s = 0;
    if (!t2c_tpm_property(grant->use->esys, TPM2_PT_LOCKOUT_RECOVERY, &recovery_s, err))
        return false;
    if (recovery_s == 0)
        return t2c_fail(err, T2C_AUTH,
            "%s: the lockout hierarchy is closed, since a wrong value was given: it opens when the machine is started "
            "again",
            what);
    return t2c_fail(err, T2C_AUTH,
        "%s: the lockout hierarchy is closed, since a wrong value was given: it opens %u s after that", what,
        (unsigned)recovery_s);
}

bool t2c_grant_end(struct t2c_grant *grant, TSS2_RC rc, struct t2c_error *err, const char *format, ...)
{
    struct t2c_error unused;
    end_session(grant, rc != TSS2_RC_SUCCESS);
    if (rc == TSS2_RC_SUCCESS)
        return true;
    if (err == NULL)
        err = &unused;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (grant->hierarchy != NULL && grant->hierarchy->id == T2C_HIERARCHY_LOCKOUT && t2c_tss_is(rc, TPM2_RC_LOCKOUT))
        return fail_closed(grant, what, err);
    if (grant->hierarchy == NULL || !t2c_grant_is_refusal(rc))
        return t2c_fail_tss(err, rc, "%s", what);
    return t2c_fail(err, T2C_AUTH, "%s", what) || explain(grant, err);
}

/* ---- before it is needed ---- */

/* A clock that is to go neither faster nor slower: what the owner may ask for that changes nothing. A TPM may be without it. */
static bool owner_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    struct t2c_error why = {0};
    bool open = false;
    (void)arg;
    if (!is_open(use, find(ESYS_TR_RH_OWNER), &open, err))
        return false;
    if (open)
        return true;
    if (!t2c_grant_begin(&grant, use, ESYS_TR_RH_OWNER, err))
        return false;
    TSS2_RC rc = Esys_ClockRateAdjust(
        use->esys, ESYS_TR_RH_OWNER, grant.session, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CLOCK_NO_CHANGE);
    return t2c_grant_end(&grant, rc, &why, "cannot use the owner hierarchy") || t2c_tss_is(rc, TPM2_RC_COMMAND_CODE) ||
        t2c_fail_with(err, &why);
}

bool t2c_tpm_check_owner(struct t2c_error *err)
{
    return t2c_tpm_run(owner_work, NULL, err);
}

/* ---- clearing ---- */

static bool clear_work(struct t2c_tpm_use *use, void *arg, struct t2c_error *err)
{
    const ESYS_TR *hierarchy = arg;
    T2C_CLEANUP(t2c_grant_fini) struct t2c_grant grant = {0};
    if (!t2c_grant_begin(&grant, use, *hierarchy, err))
        return t2c_fail_context(err, "cannot clear the TPM");
    TSS2_RC rc = Esys_Clear(use->esys, *hierarchy, grant.session, ESYS_TR_NONE, ESYS_TR_NONE);
    return t2c_grant_end(&grant, rc, err, "cannot clear the TPM");
}

/* The platform hierarchy's is the other way to the same end, and nobody counts there what is wrong. */
bool t2c_tpm_clear(struct t2c_error *err)
{
    ESYS_TR first = ESYS_TR_RH_LOCKOUT, second = ESYS_TR_RH_PLATFORM;
    struct t2c_error why = {0};
    if (!t2c_hierarchy_is_set(first) && t2c_hierarchy_is_set(second)) {
        first = ESYS_TR_RH_PLATFORM;
        second = ESYS_TR_RH_LOCKOUT;
    }
    bool done = t2c_tpm_run(clear_work, &first, &why) ||
        ((why.code == T2C_AUTH || why.code == T2C_LOCKOUT) && t2c_tpm_run(clear_work, &second, NULL));
    if (!done)
        return t2c_fail_with(err, &why);
    t2c_tpm_close(); /* what ESYS knows is gone */
    return true;
}
