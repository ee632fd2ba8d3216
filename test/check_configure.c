/*
 * What aziot configure shows: differences that lead from one text to the other, whatever they are, and no secret.
 */
#include "../tools/aziot_mask.h"
#include "../tools/diff.h"
#include "check_main.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- differences ---- */

static const struct {
    const char *old, *new, *diff;
} diffs[] = {
    {"", "", ""},
    {"a\nb\n", "a\nb\n", ""},
    {"", "a\n", "@@ -0,0 +1,1 @@\n+a\n"},
    {"a\n", "", "@@ -1,1 +0,0 @@\n-a\n"},
    {"a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
    {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
    {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n2\n3\n4\n5\n6\n7\n8\n", /* two changes, seven lines between */
        "@@ -1,4 +1,4 @@\n-1\n+0\n 2\n 3\n 4\n@@ -6,4 +6,3 @@\n 6\n 7\n 8\n-9\n"},
    {"1\n2\n3\n4\n5\n6\n7\n8\n", "0\n2\n3\n4\n5\n6\n7\n", /* six: one hunk */
        "@@ -1,8 +1,7 @@\n-1\n+0\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n"},
};

static void make(const char *old, const char *new, struct t2c_bytes *out)
{
    const struct diff_side from = {"old", old}, to = {"new", new};
    struct t2c_error err = {0};
    ck_assert_msg(diff_unified(&from, &to, out, &err), "%s", err.text);
}

START_TEST(differs)
{
    static const char head[] = "--- old\n+++ new\n";
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    make(diffs[_i].old, diffs[_i].new, &out);
    if (diffs[_i].diff[0] == '\0') {
        ck_assert_uint_eq(out.len, 0);
        return;
    }
    ck_assert_int_eq(strncmp((const char *)out.data, head, strlen(head)), 0);
    ck_assert_str_eq((const char *)out.data + strlen(head), diffs[_i].diff);
}
END_TEST

/* Takes a line off *at. Gives: its length, with its end. */
static size_t line(const char *at)
{
    return strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n' ? 1 : 0);
}

/* What becomes of OLD by DIFF, as patch does it: each line that stays or goes has to be there. */
static void apply(const char *old, const char *diff, struct t2c_bytes *out)
{
    size_t at = 1; /* the line of old */
    for (diff += line(diff), diff += line(diff); *diff != '\0'; diff += line(diff)) {
        unsigned from = 0, n = 0;
        if (sscanf(diff, "@@ -%u,%u ", &from, &n) == 2) {
            for (; at < from + (n == 0 ? 1 : 0); at++, old += line(old))
                t2c_bytes_append(out, old, line(old), NULL);
            continue;
        }
        ck_assert_ptr_nonnull(strchr(" +-", *diff));
        if (*diff != '+') {
            ck_assert_int_eq(strncmp(old, diff + 1, line(diff) - 1), 0);
            old += line(old);
            at++;
        }
        if (*diff != '-')
            t2c_bytes_append(out, diff + 1, line(diff) - 1, NULL);
    }
    t2c_bytes_append(out, old, strlen(old), NULL);
}

static void random_text(unsigned *seed, char *out)
{
    unsigned n = (unsigned)rand_r(seed) % 24;
    for (unsigned i = 0; i < n; i++, out += 2) {
        out[0] = (char)('a' + (unsigned)rand_r(seed) % 3);
        out[1] = '\n';
    }
    *out = '\0';
}

START_TEST(leads_to_the_other)
{
    unsigned seed = 7;
    for (int i = 0; i < 5000; i++) {
        char old[64], new[64];
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes diff = {0};
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes got = {0};
        random_text(&seed, old);
        random_text(&seed, new);
        make(old, new, &diff);
        if (diff.len == 0) {
            ck_assert_str_eq(old, new);
            continue;
        }
        apply(old, (const char *)diff.data, &got);
        ck_assert_msg(
            strcmp((const char *)got.data, new) == 0, "%s\nby\n%s\nis\n%s\nand not\n%s", old, diff.data, got.data, new);
    }
}
END_TEST

/* ---- secrets ---- */

static const struct {
    const char *text, *shown;
} secrets[] = {
    {"", ""},
    {"username = \"u\"\npassword = \"p\"\n", "username = \"u\"\npassword = \"***\"\n"},
    {"auth = { username = \"u\", password = \"p\" }", "auth = { username = \"u\", password = \"***\""},
    {"\"password\"='p'", "\"password\"= \"***\""},
    {"# password = \"old\"\n", "# password = \"***\"\n"},
    {"password = \"\"\"a\nb\nc\"\"\"\nx = 1\n", "password = \"***\"\n \"***\"\n \"***\"\nx = 1\n"},
    {"password = '''a'''\nx = 1\n", "password = \"***\"\nx = 1\n"},
    {"connection_string = \"HostName=h;SharedAccessKey=k\"\n", "connection_string = \"***\"\n"},
    {"device_id_pk = { value = \"a2V5\" }\n", "device_id_pk = { value = \"***\"\n"},
    {"pk = \"pkcs11:token=t;object=o?pin-value=1234\"\n", "pk = \"pkcs11:token=t;object=o?pin-value= \"***\"\n"},
    {"[password]\nmy_password_file = \"f\"\nvalues = 1\n", "[password]\nmy_password_file = \"f\"\nvalues = 1\n"},
    {"REGISTRY_PASSWORD = \"x\"\n", "REGISTRY_PASSWORD = \"***\"\n"},
    {"\"client_secret\" = \"y\"", "\"client_secret\" = \"***\""},
    {"sas_token = \"SharedAccessSignature sr=h&sig=s\"", "sas_token = \"***\""},
    {"url = \"https://h/c?sv=1&sig=s\"", "url = \"https://h/c?sv=1&sig= \"***\""},
    {"s = \"HostName=h;SharedAccessSignature=x\"", "s = \"HostName=h;SharedAccessSignature= \"***\""},
    {"\"https_proxy\" = \"http://user:pw@proxy:3128\"\n", "\"https_proxy\" = \"http:// \"***\"\n"},
    {"\"https_proxy\" = \"http://u:p/w@proxy\"", "\"https_proxy\" = \"http:// \"***\""},
    {"identity_pk = \"pkcs11:token=t;object=o\"\npk = \"pkcs11:object=o;token=t\"\n",
        "identity_pk = \"pkcs11:token=t;object=o\"\npk = \"pkcs11:object=o;token=t\"\n"},
    {"default = \"https://est.example/x\" # a@b\ncert = \"file:///etc/a@b.pem\"\n",
        "default = \"https://est.example/x\" # a@b\ncert = \"file:///etc/a@b.pem\"\n"},
};

START_TEST(hides)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct t2c_error err = {0};
    ck_assert_msg(aziot_mask(secrets[_i].text, &out, &err), "%s", err.text);
    ck_assert_str_eq((const char *)out.data, secrets[_i].shown);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("configure");
    TCase *tcase = tcase_create("configure");
    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, differs, 0, COUNT(diffs));
    tcase_add_test(tcase, leads_to_the_other);
    tcase_add_loop_test(tcase, hides, 0, COUNT(secrets));
    return check_run(suite);
}
