/*
 * Whoever attests is opened first, then what is kept is looked at, then the flow says what is done next.
 */
#include "dps.h"

#include "cmd.h"
#include "dps_ek.h"
#include "dps_flow.h"
#include "dps_http.h"
#include "dps_tpm.h"
#include "tpm2cloud/clock.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/tpm.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A registration that is going on. */
struct dps_run {
    const struct dps_job *job;
    struct dps_target target; /* with an id */
    char id[DPS_ID_MAX];
    struct dps_tpm tpm;
    EVP_PKEY *key; /* X.509 */
    STACK_OF(X509) *chain;
    struct dps_http *http;
    struct dps_flow flow;
    struct dps_answer answer; /* the last one */
};

static void run_fini(struct dps_run *run)
{
    dps_http_closep(&run->http);
    dps_answer_fini(&run->answer);
    dps_tpm_fini(&run->tpm);
    t2c_pkey_freep(&run->key);
    t2c_x509s_freep(&run->chain);
}

/* ---- who attests ---- */

static bool open_x509(struct dps_run *run, char proof[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    if (!cmd_check_name(run->job->x509, err))
        return false;
    const struct t2c_uri uri = t2c_uri_of(run->job->x509);
    if (!t2c_name_read_certs(&uri, NULL, &run->chain, err))
        return false;
    X509 *leaf = sk_X509_value(run->chain, 0);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int der_len = i2d_X509(leaf, &der);
    if (der_len <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "the certificate of %s", run->job->x509);
    if (run->job->target.id == NULL &&
        X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, run->id, sizeof(run->id)) <= 0)
        return t2c_fail(err, T2C_INVALID, "the certificate of %s has no CN to be the registration id; give one by --id",
            run->job->x509);
    return t2c_host_sha256_hex(der, (size_t)der_len, proof, err);
}

static bool open_tpm(struct dps_run *run, char proof[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    if (!dps_tpm_open(&run->tpm, true, err))
        return false;
    if (run->job->target.id == NULL && !dps_id_of_ek(&run->tpm.ek, run->id, err))
        return false;
    return t2c_host_sha256_hex(run->tpm.ek.data, run->tpm.ek.len, proof, err);
}

/* Gives the record that this registration would have. With a TPM and an id, the TPM is not asked for that. */
static bool describe(struct dps_run *run, struct dps_record *out, struct t2c_error *err)
{
    const struct dps_job *job = run->job;
    *out = (struct dps_record){.tpm = job->x509 == NULL};
    if (!(job->x509 != NULL              ? open_x509(run, out->proof, err)
                : job->target.id == NULL ? open_tpm(run, out->proof, err)
                                         : true))
        return false;
    run->target = job->target;
    if (job->target.id == NULL)
        run->target.id = run->id;
    if (!dps_target_check(&run->target, err))
        return false;
    if (out->tpm)
        snprintf(out->handle, sizeof(out->handle), "0x%08x", job->handle);
    snprintf(out->endpoint, sizeof(out->endpoint), "%s", run->target.endpoint);
    snprintf(out->scope, sizeof(out->scope), "%s", run->target.scope);
    snprintf(out->id, sizeof(out->id), "%s", run->target.id);
    return true;
}

/* ---- what is kept ---- */

/* Says whether what PATH keeps still holds; then it is in *record. */
static bool holds(const char *path, struct dps_record *record, const char *name)
{
    struct dps_record old;
    struct t2c_error why = {0};
    if (!dps_record_read(path, &old, &why)) {
        if (why.code != T2C_NOT_FOUND)
            fprintf(stderr, "tpm2cloud: what is kept of the last registration is passed over: %s\n", why.text);
        return false;
    }
    if (!dps_record_is_of(&old, record) || (old.tpm && strcmp(old.name, name) != 0))
        return false;
    *record = old;
    return true;
}

/* ---- the exchange ---- */

static bool send_request(struct dps_run *run, struct dps_reply *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes url = {0}, body = {0};
    const bool poll = run->flow.next == DPS_POLL, tpm = run->flow.tpm;
    const char *token = NULL;
    if (!dps_url(&run->target, poll ? run->answer.operation : NULL, &url, err) ||
        (!poll && !dps_body(&run->target, tpm ? &run->tpm.ek : NULL, tpm ? &run->tpm.srk : NULL, &body, err)) ||
        !dps_tpm_token(&run->tpm, &run->target, time(NULL), &token, err))
        return false;
    return dps_http_send(
        run->http, (const char *)url.data, poll ? NULL : &body, token, run->flow.end_ms - t2c_clock_ms(), out, err);
}

/* An answer that cannot be read leaves the last one, whose operation may be asked for again. */
static bool ask(struct dps_run *run, struct dps_reply *reply, struct t2c_error *err)
{
    struct dps_answer answer = {0};
    if (!send_request(run, reply, err) ||
        !dps_answer_read(reply->status, reply->body.data, reply->body.len, &answer, err))
        return false;
    if (answer.kind == DPS_BUSY)
        memcpy(answer.operation, run->answer.operation, sizeof(answer.operation));
    dps_answer_fini(&run->answer);
    run->answer = answer;
    return true;
}

static bool exchange(struct dps_run *run, struct t2c_error *err)
{
    T2C_CLEANUP(dps_reply_fini) struct dps_reply reply = {.retry_after_s = -1};
    struct dps_news news = {0};
    struct t2c_error broken = {0}, again = {0};
    if (ask(run, &reply, &broken))
        news.answer = &run->answer;
    else
        news.broken = &broken;
    news.retry_after_s = reply.retry_after_s;
    news.ahead_s = reply.ahead_s;
    news.now_ms = t2c_clock_ms();
    if (!t2c_host_random(&news.random, sizeof(news.random), err) || !dps_flow_go_on(&run->flow, &news, &again, err))
        return false;
    if (again.code != T2C_OK)
        fprintf(stderr, "tpm2cloud: %s; trying again in %.1f s\n", again.text, (double)run->flow.wait_ms / 1000);
    return true;
}

/* Nothing of ours is in the TPM meanwhile. */
static void wait_for(int64_t ms)
{
    if (ms > 0)
        t2c_tpm_close();
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static bool go_through(struct dps_run *run, struct t2c_error *err)
{
    const struct dps_http_settings settings = {run->job->trust, run->key, run->chain};
    if (!dps_http_open(&settings, &run->http, err))
        return false;
    dps_flow_start(&run->flow, run->job->x509 == NULL, run->job->limit_s, t2c_clock_ms());
    while (run->flow.next != DPS_FINISH) {
        wait_for(run->flow.wait_ms);
        if (run->flow.next != DPS_PROVE) {
            if (!exchange(run, err))
                return false;
            continue;
        }
        if (!dps_tpm_accept(&run->tpm, &run->answer.key, err))
            return false;
        dps_flow_proved(&run->flow);
    }
    return true;
}

/* ---- before and after ---- */

/*
 * What would keep the device from having what DPS gives is found now: by its answer the hub knows another key, and refuses the old one.
 * Whether the endorsement key is the certified one matters to whoever enrols it, so a doubt is told and no more.
 */
static bool prepare(struct dps_run *run, const char *path, struct dps_record *record, struct t2c_error *err)
{
    T2C_CLEANUP(dps_ek_fini) struct dps_ek ek = {0};
    struct t2c_error doubt = {0};
    if (!dps_record_prepare(path, err))
        return t2c_fail_context(err, "the registration could not be kept, so DPS is not asked");
    if (run->job->x509 != NULL)
        return cmd_load_key(run->job->x509, run->job->auth, &run->key, err);
    if (!t2c_tpm_check_owner(err))
        return t2c_fail_context(err, "the key of DPS could not be put at its handle, so DPS is not asked");
    if (!open_tpm(run, record->proof, err) || !dps_ek_look(run->tpm.attester, &ek, &doubt, err))
        return false;
    if (doubt.code != T2C_OK)
        fprintf(stderr, "tpm2cloud: %s\n", doubt.text);
    return true;
}

/* The last key that came is the hub's, where there is one; else the one of the challenge serves for the hub, too. */
static bool keep_key(struct dps_run *run, char *name, struct t2c_error *err)
{
    if (run->answer.key.len > 0 && !dps_tpm_accept(&run->tpm, &run->answer.key, err))
        return t2c_fail_context(
            err, "DPS assigned this device to %s, but the hub's key cannot be used", run->answer.hub);
    if (run->tpm.key == NULL)
        return t2c_fail(err, T2C_PROTO,
            "DPS assigned this device to %s without asking the TPM for a proof, so there is no key; the enrolment is "
            "not one "
            "of a TPM",
            run->answer.hub);
    return dps_tpm_keep(&run->tpm, run->job->handle, name, err);
}

static bool conclude(struct dps_run *run, const char *path, struct dps_record *record, struct t2c_error *err)
{
    if (record->tpm && !keep_key(run, record->name, err))
        return false;
    memcpy(record->hub, run->answer.hub, sizeof(record->hub));
    memcpy(record->device, run->answer.device, sizeof(record->device));
    memcpy(record->substatus, run->answer.substatus, sizeof(record->substatus));
    record->registered_s = time(NULL);
    return dps_record_write(path, record, err) ||
        t2c_fail_context(
            err, "the device is registered at %s as %s, but that cannot be kept", record->hub, record->device);
}

bool dps_register(const struct dps_job *job, struct dps_record *out, bool *kept, struct t2c_error *err)
{
    T2C_CLEANUP(run_fini) struct dps_run run = {.job = job};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    struct dps_record record;
    char name[T2C_KEY_NAME_HEX_MAX] = "";
    if (!describe(&run, &record, err) || !dps_record_path(record.id, &path, err) ||
        (record.tpm && !dps_tpm_kept(job->handle, name, err)))
        return false;
    *kept = !job->force && holds(path, &record, name);
    if (!*kept && !(prepare(&run, path, &record, err) && go_through(&run, err) && conclude(&run, path, &record, err)))
        return false;
    *out = record;
    return true;
}
