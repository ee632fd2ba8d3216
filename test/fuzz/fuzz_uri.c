/*
 * The URI parser: what it takes keeps the header's promises, and written down again in full means the same.
 */
#include "tpm2cloud/uri.h"

#include "fuzz.h"
#include "tpm2cloud/bytes.h"

#define TERMINATED(array) (memchr((array), '\0', sizeof(array)) != NULL)

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void assert_promises(const struct t2c_uri *uri)
{
    const char *source = uri->auth_source;
    bool name = uri->name[0] != '\0', file = uri->file[0] != '\0', number = uri->handle != 0 || uri->nv != 0;
    assert(TERMINATED(uri->name) && TERMINATED(uri->file) && TERMINATED(uri->auth_source));
    assert(!name || t2c_uri_name_valid(uri->name, strlen(uri->name)));
    assert(!file || uri->file[0] == '/');
    assert(uri->handle == 0 || uri->handle >> 24 == 0x81);
    assert(uri->nv == 0 || uri->nv >> 24 == 0x01);
    assert(uri->type >= T2C_URI_ANY && uri->type <= T2C_URI_CERT);
    assert(source[0] == '\0' || starts(source, "file:/") || (starts(source, "env:") && source[4] != '\0') ||
        (starts(source, "cred:") && source[5] != '\0'));
    assert(name + file + number <= 1);
    assert(t2c_uri_is_all(uri) == (name + file + number == 0));
    assert(!t2c_uri_is_all(uri) || (uri->type == T2C_URI_ANY && source[0] == '\0'));
}

/* Appends ;NAME=VALUE, every byte of the value percent-encoded. */
static void append_text(struct t2c_bytes *out, char before, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    assert(t2c_bytes_printf(out, NULL, "%c%s=", before, name));
    for (; *value != '\0'; value++)
        assert(t2c_bytes_printf(out, NULL, "%%%02X", (unsigned char)*value));
}

static void write_down(const struct t2c_uri *uri, struct t2c_bytes *out)
{
    static const char *const types[] = {"", ";type=private", ";type=public", ";type=cert"};
    assert(t2c_bytes_printf(out, NULL, "tpm2cloud:%s%s", uri->name, types[uri->type]));
    if (uri->nv != 0)
        assert(t2c_bytes_printf(out, NULL, ";nv=0x%x", uri->nv));
    if (uri->handle != 0)
        assert(t2c_bytes_printf(out, NULL, ";handle=0x%X", uri->handle));
    append_text(out, ';', "file", uri->file);
    append_text(out, '?', "auth-source", uri->auth_source);
}

static void assert_same(const struct t2c_uri *a, const struct t2c_uri *b)
{
    assert(strcmp(a->name, b->name) == 0 && strcmp(a->file, b->file) == 0);
    assert(a->handle == b->handle && a->nv == b->nv && a->type == b->type);
    assert(strcmp(a->auth_source, b->auth_source) == 0);
}

static void parse(const char *text)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes again = {0};
    struct t2c_uri uri, same;
    struct t2c_error err = {0};
    memset(&uri, 0xA5, sizeof(uri));
    same = uri;
    if (!t2c_uri_parse(text, &uri, &err)) {
        assert_explained(&err);
        assert(memcmp(&uri, &same, sizeof(uri)) == 0);
        assert(!t2c_uri_parse(text, &uri, NULL));
        return;
    }
    assert_promises(&uri);
    write_down(&uri, &again);
    assert(t2c_uri_parse((const char *)again.data, &same, &err));
    assert_same(&uri, &same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    /* As long as the text and no longer, so that reading beyond its end is noticed. */
    T2C_CLEANUP(t2c_freep) char *text = malloc(data_len + 1);
    assert(text != NULL);
    memcpy(text, data, data_len);
    text[data_len] = '\0';
    parse(text);
    if (t2c_uri_name_valid((const char *)data, data_len)) {
        assert(data_len > 0 && data_len < T2C_NAME_MAX && strlen(text) == data_len);
        assert(strchr(text, '/') == NULL && text[0] != '.');
    }
    return 0;
}
