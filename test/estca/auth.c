/* Who may enrol; see auth.h. Passwords are compared as digests, all of them, in constant time. */
#include "auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "own.h"

#define HASH_LEN ((size_t)32)

static bool hash(const void *p, size_t len, uint8_t out[HASH_LEN])
{
    return EVP_Q_digest(NULL, "SHA256", NULL, p, len, out, NULL) == 1;
}

static bool add_user(struct auth *auth, const char *user, size_t len, struct fail *err)
{
    uint8_t md[HASH_LEN];
    if (memchr(user, ':', len) == NULL)
        return fail(err, "a user is NAME:PASSWORD, and \"%.*s\" has no colon", (int)len, user);
    if (!hash(user, len, md))
        return fail_ossl(err, "cannot digest a password");
    bytes_add(&auth->users, md, sizeof(md));
    return digest_add_user(&auth->digest, user, len, err);
}

/* One user a line; empty lines and those that begin with # are skipped. */
static bool add_users(struct auth *auth, const char *path, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    if (!file_read(path, &text, err))
        return false;
    for (const char *line = (const char *)text.p; *line != '\0';) {
        size_t len = strcspn(line, "\r\n");
        if (len > 0 && line[0] != '#' && !add_user(auth, line, len, err))
            return false;
        line += len + strspn(line + len, "\r\n");
    }
    return true;
}

void auth_fini(struct auth *auth)
{
    bytes_fini(&auth->users);
    digest_fini(&auth->digest);
}

bool auth_init(struct auth *auth, enum auth_mode mode, enum digest_algorithm algorithm, const struct opt_list *users,
    const char *file, struct fail *err)
{
    *auth = (struct auth){.mode = mode};
    if (!digest_init(&auth->digest, algorithm, err))
        return false;
    for (size_t i = 0; i < users->n; i++)
        if (!add_user(auth, users->v[i], strlen(users->v[i]), err))
            return false;
    if (file != NULL && !add_users(auth, file, err))
        return false;
    if ((mode == AUTH_BASIC || mode == AUTH_DIGEST || mode == AUTH_ANY) && auth->users.len == 0)
        return fail(err, "--auth basic, digest and any need a user: give --user NAME:PASSWORD or --user-file FILE");
    return true;
}

bool auth_set_header(struct auth *auth, const char *header, struct fail *err)
{
    size_t len = header != NULL ? strcspn(header, ":") : 0;
    if ((auth->mode == AUTH_HEADER) != (header != NULL))
        return fail(err, "--auth header and --header NAME:VALUE belong together");
    if (header == NULL)
        return true;
    if (len == 0 || len >= sizeof(auth->header) || header[len] != ':')
        return fail(err, "--header %s: write NAME:VALUE", header);
    memcpy(auth->header, header, len);
    auth->secret = header + len + 1;
    return true;
}

static bool basic_ok(const struct auth *auth, const char *authorization)
{
    uint8_t md[HASH_LEN];
    unsigned found = 0;
    OWN(bytes_fini) struct bytes given = {0};

    if (authorization == NULL || strncasecmp(authorization, "Basic ", 6) != 0)
        return false;
    const char *text = authorization + 6;
    if (!bytes_add_decoded(&given, (const uint8_t *)text, strlen(text)) || !hash(given.p, given.len, md))
        return false;
    for (size_t at = 0; at < auth->users.len; at += HASH_LEN)
        found |= CRYPTO_memcmp(auth->users.p + at, md, HASH_LEN) == 0;
    return found != 0;
}

void auth_challenge(const struct auth *auth, bool stale, struct reply *refusal)
{
    OWN(bytes_fini) struct bytes value = {0};
    if (auth->mode != AUTH_DIGEST)
        bytes_add_text(&value, "Basic realm=\"estca\"");
    else
        digest_add_challenge(&auth->digest, stale, &value);
    reply_add_header(refusal, "WWW-Authenticate", "%s", (const char *)value.p);
}

static bool password_ok(
    const struct auth *auth, const struct auth_request *request, const char **by, struct reply *refusal)
{
    const char *given = request->authorization;
    bool digest = auth->mode == AUTH_DIGEST;
    enum digest_answer answer =
        digest ? digest_check(&auth->digest, request->method, request->target, given) : DIGEST_WRONG;
    if (answer == DIGEST_OK || (!digest && basic_ok(auth, given))) {
        *by = digest ? "digest" : "basic";
        return true;
    }
    reply_text(refusal, 401, given == NULL ? "name and password are required" : "wrong name or password");
    auth_challenge(auth, answer == DIGEST_STALE, refusal);
    return false;
}

bool auth_check(const struct auth *auth, const struct auth_request *request, const char **by, struct reply *refusal)
{
    *by = "none";
    if (auth->mode == AUTH_NONE)
        return true;
    if ((auth->mode == AUTH_MTLS || auth->mode == AUTH_ANY) && request->peer != NULL) {
        *by = "mtls";
        return true;
    }
    if (auth->mode == AUTH_MTLS)
        return reply_text(refusal, 403, "a TLS client certificate is required");
    if (auth->mode != AUTH_HEADER)
        return password_ok(auth, request, by, refusal);
    if (request->secret == NULL || strcmp(request->secret, auth->secret) != 0)
        return reply_text(refusal, 401, "the header %s is missing or wrong", auth->header);
    *by = "header";
    return true;
}
