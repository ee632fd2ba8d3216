/*
 * anchors: a CA that changes its key, as its four certificates show it; bags that are incomplete, foreign or forged; the
 * first bag, by fingerprint; the cache. The certificates are made here, each set with and without key identifiers: without them, only
 * signatures tell the old root's certificate from its cross certificate.
 */
#include "../estd/trust.h"

#include "certs.h"
#include "check_main.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NOW INT64_C(1800000000) /* 2027-01-15 */
#define DAY INT64_C(86400)
#define CA_NAME "/CN=CA"

/* The certificates by letters, so that a bag is a string. */
static EVP_PKEY *old_key, *new_key, *other_key, *leaf_key;
static X509 *certs[128];

static X509 *make_ca(const char *subject, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, int64_t to_s, bool ids)
{
    return make_cert(&(struct cert_plan){subject, key, issuer, issuer_key, true, NOW - 1000 * DAY, to_s, NULL, ids});
}

static void make_all(bool ids)
{
    old_key = EVP_EC_gen("P-256");
    new_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    leaf_key = EVP_EC_gen("P-256");
    certs['o'] = make_ca(CA_NAME, old_key, NULL, NULL, NOW + 100 * DAY, ids);              /* OldWithOld */
    certs['n'] = make_ca(CA_NAME, new_key, NULL, NULL, NOW + 3000 * DAY, ids);             /* NewWithNew */
    certs['O'] = make_ca(CA_NAME, old_key, certs['n'], new_key, NOW + 100 * DAY, ids);     /* OldWithNew */
    certs['N'] = make_ca(CA_NAME, new_key, certs['o'], old_key, NOW + 100 * DAY, ids);     /* NewWithOld */
    certs['i'] = make_ca("/CN=issuing", other_key, certs['o'], old_key, NOW + DAY, ids);   /* an intermediate */
    certs['I'] = make_ca("/CN=issuing", other_key, certs['o'], old_key, NOW - DAY, ids);   /* ... that is over */
    certs['f'] = make_ca("/CN=foreign", other_key, NULL, NULL, NOW + 100 * DAY, ids);      /* another CA */
    certs['x'] = make_ca(CA_NAME, other_key, NULL, NULL, NOW - DAY, ids);                  /* a root that is over */
    certs['F'] = make_ca(CA_NAME, other_key, certs['f'], other_key, NOW + 100 * DAY, ids); /* a foreign cross */
    certs['l'] = make_cert(
        &(struct cert_plan){"/CN=server", leaf_key, certs['i'], other_key, false, NOW - DAY, NOW + DAY, NULL, false});
    certs['s'] =
        make_cert(&(struct cert_plan){"/CN=self", leaf_key, NULL, NULL, false, NOW - DAY, NOW + DAY, NULL, false});
}

static void set_up(void)
{
    make_all(true);
}

static void set_up_without_identifiers(void)
{
    make_all(false);
}

static void tear_down(void)
{
    for (int i = 0; i < COUNT(certs); i++) {
        X509_free(certs[i]);
        certs[i] = NULL;
    }
    EVP_PKEY_free(old_key);
    EVP_PKEY_free(new_key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(leaf_key);
}

static STACK_OF(X509) *bag_of(const char *letters)
{
    STACK_OF(X509) *bag = sk_X509_new_null();
    for (; *letters != '\0'; letters++) {
        X509_up_ref(certs[(int)*letters]);
        sk_X509_push(bag, certs[(int)*letters]);
    }
    return bag;
}

/* The letters of BAG, in the alphabet's order. */
static void letters_of(const STACK_OF(X509) *bag, char *out)
{
    for (int letter = 0; letter < COUNT(certs); letter++)
        for (int i = 0; certs[letter] != NULL && i < sk_X509_num(bag); i++)
            if (X509_cmp(sk_X509_value(bag, i), certs[letter]) == 0)
                *out++ = (char)letter;
    *out = '\0';
}

static void assert_anchors(const struct anchors *anchors, const char *roots, const char *others)
{
    char got[128];
    letters_of(anchors->roots, got);
    ck_assert_str_eq(got, roots);
    letters_of(anchors->others, got);
    ck_assert_str_eq(got, others);
}

static const struct {
    const char *certs, *roots, *others;
} piles[] = {
    {"", "", ""},
    {"o", "o", ""},
    {"onON", "no", "NO"},
    {"NOno", "no", "NO"},
    {"iolo", "o", "i"},
    {"ls", "", ""},
    {"fxI", "fx", "I"},
};

START_TEST(cross_certificates_are_no_anchors)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = bag_of(piles[_i].certs);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *all = NULL;
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    ck_assert(anchors_sort(bag, &sorted, NULL));
    assert_anchors(&sorted, piles[_i].roots, piles[_i].others);
    all = anchors_join(&sorted);
    ck_assert_int_eq(sk_X509_num(all), (int)(strlen(piles[_i].roots) + strlen(piles[_i].others)));
}
END_TEST

#define NO_ROOT "among the CA certificates that the server sent is no self-signed one"
#define EXPIRED "the self-signed CA certificates that the server sent are all expired; check the clock"
#define UNVOUCHED "the self-signed CA certificates that the server sent are new, and no present anchor vouches for one"
#define UNVERIFIED                                                                                                     \
    "the CA certificates that the server sent would not verify the server itself: the certificate of \"CN = server\" " \
    "does not verify: unable to get local issuer certificate"

static const struct {
    const char *present, *configured, *bag;
    enum anchors_way way;
    const char *server, *roots, *others;
    bool changed;
    const char *text; /* NULL: it works */
} merges[] = {
    /* The first bag, and the same again. */
    {"", "", "oi", ANCHORS_EXPLICIT, "", "o", "i", true, NULL},
    {"o", "", "oi", ANCHORS_EXPLICIT, "li", "o", "i", false, NULL},
    /* What is configured needs no cache. */
    {"o", "o", "oi", ANCHORS_EXPLICIT, "li", "", "i", false, NULL},
    {"o", "o", "on", ANCHORS_EXPLICIT, "li", "n", "", true, NULL},
    {"on", "o", "on", ANCHORS_EXPLICIT, "li", "n", "", false, NULL},
    /* The CA changes its key: both roots, neither of the cross certificates. */
    {"o", "", "onONi", ANCHORS_EXPLICIT, "li", "no", "NOi", true, NULL},
    {"no", "", "n", ANCHORS_EXPLICIT, "", "no", "", false, NULL},
    {"no", "", "n", ANCHORS_EXPLICIT, "li", "no", "", false, NULL},
    /* An expired root goes, an expired intermediate is left out. */
    {"nx", "", "nI", ANCHORS_EXPLICIT, "", "n", "", true, NULL},
    {"n", "", "nx", ANCHORS_EXPLICIT, "", "n", "", false, NULL},
    {"n", "", "x", ANCHORS_EXPLICIT, "", "", "", false, EXPIRED},
    /* A foreign root comes in over a trusted connection, its cross certificate only beside it. */
    {"o", "", "fF", ANCHORS_EXPLICIT, "li", "fo", "F", true, NULL},
    {"o", "", "F", ANCHORS_EXPLICIT, "li", "", "", false, NO_ROOT},
    {"o", "", "", ANCHORS_EXPLICIT, "", "", "", false, NO_ROOT},
    {"o", "", "NO", ANCHORS_EXPLICIT, "", "", "", false, NO_ROOT},
    {"o", "", "ls", ANCHORS_EXPLICIT, "", "", "", false, NO_ROOT},
    /* The system's anchors vouch for a first bag, not for a second one. */
    {"", "", "oi", ANCHORS_IMPLICIT, "s", "o", "i", true, NULL},
    {"o", "", "on", ANCHORS_IMPLICIT, "s", "o", "", false, NULL},
    {"o", "", "onN", ANCHORS_IMPLICIT, "s", "no", "N", true, NULL},
    {"o", "", "fF", ANCHORS_IMPLICIT, "s", "", "", false, UNVOUCHED},
    {"o", "", "n", ANCHORS_IMPLICIT, "", "", "", false, UNVOUCHED},
    {"f", "", "nN", ANCHORS_IMPLICIT, "", "", "", false, UNVOUCHED},
    /* A self-signed certificate that is no CA's counts when somebody configured it. */
    {"s", "s", "o", ANCHORS_EXPLICIT, "s", "o", "", true, NULL},
    /* What verified the server must not be lost. */
    {"f", "", "f", ANCHORS_EXPLICIT, "li", "", "", false, UNVERIFIED},
};

START_TEST(bags_are_merged)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *present = bag_of(merges[_i].present);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *configured = bag_of(merges[_i].configured);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = bag_of(merges[_i].bag);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *server = bag_of(merges[_i].server);
    T2C_CLEANUP(anchors_fini) struct anchors merged = {0};
    struct anchors_update update = {.present = present,
        .configured = configured,
        .bag = bag,
        .way = merges[_i].way,
        .server = server,
        .now_s = NOW};
    struct t2c_error err = {0};
    bool changed = false;
    ck_assert_msg(anchors_merge(&update, &merged, &changed, &err) == (merges[_i].text == NULL), "%d: %s", _i, err.text);
    ck_assert_str_eq(err.text, merges[_i].text != NULL ? merges[_i].text : "");
    ck_assert_int_eq(err.code, merges[_i].text != NULL ? T2C_PROTO : T2C_OK);
    assert_anchors(&merged, merges[_i].roots, merges[_i].others);
    ck_assert_int_eq(changed, merges[_i].changed);
}
END_TEST

/* ---- fingerprints ---- */

/* Writes the fingerprint of CERT as openssl x509 -fingerprint does, or without colons in lower case. */
static void fingerprint_of(const X509 *cert, bool colons, char *out)
{
    uint8_t digest[32];
    unsigned len = sizeof(digest);
    ck_assert_int_eq(X509_digest(cert, EVP_sha256(), digest, &len), 1);
    out += sprintf(out, "sha256:");
    for (unsigned i = 0; i < len; i++)
        out += sprintf(out, colons ? "%s%02X" : "%s%02x", colons && i > 0 ? ":" : "", digest[i]);
}

START_TEST(fingerprints_match)
{
    char one[200], other[200], list[500];
    struct t2c_error err = {0};
    fingerprint_of(certs['o'], _i == 0, one);
    fingerprint_of(certs['n'], _i == 1, other);
    ck_assert_msg(anchors_check_fingerprints(one, &err), "%s", err.text);
    ck_assert(anchors_match(one, certs['o']) && !anchors_match(one, certs['n']));
    snprintf(list, sizeof(list), "%s,%s", one, other);
    ck_assert_msg(anchors_check_fingerprints(list, &err), "%s", err.text);
    ck_assert(anchors_match(list, certs['o']) && anchors_match(list, certs['n']) && !anchors_match(list, certs['O']));
}
END_TEST

#define HEX_62 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"
static const char *const bad_fingerprints[] = {"", ",", "sha256:", "sha1:" HEX_62 "ef", HEX_62 "ef", "sha256:" HEX_62,
    "sha256:" HEX_62 "e", "sha256:" HEX_62 "eg", "sha256:" HEX_62 "efa", "sha256:" HEX_62 "ef,",
    "sha256:" HEX_62 "ef, sha256:" HEX_62 "ef", "sha256::" HEX_62 "ef",
    "sha256:" HEX_62 "ef:", "sha256:0:1" HEX_62 "ef", ",sha256:" HEX_62 "ef"};

START_TEST(bad_fingerprints_are_refused)
{
    struct t2c_error err = {0};
    ck_assert_msg(!anchors_check_fingerprints(bad_fingerprints[_i], &err), "%s", bad_fingerprints[_i]);
    ck_assert_int_eq(err.code, T2C_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "is no list of SHA-256 fingerprints"));
    ck_assert(!anchors_match(bad_fingerprints[_i], certs['o']));
}
END_TEST

#define UNKNOWN                                                                                                        \
    "no CA certificate that the server sent has the fingerprint of trust_fingerprint; this may be another server, or " \
    "the "                                                                                                             \
    "CA has a new root"
#define NO_CA                                                                                                    \
    "the certificate with the fingerprint of trust_fingerprint is no self-signed CA that is in force; give the " \
    "fingerprint of the root"

static const struct {
    const char *named, *bag, *server, *roots, *others;
    enum t2c_code code;
    const char *text;
} firsts[] = {
    {"o", "oi", "li", "o", "i", T2C_OK, ""},
    {"o", "oi", "l", "o", "i", T2C_OK, ""},
    {"o", "oi", "", "o", "i", T2C_OK, ""},
    {"no", "oi", "li", "o", "i", T2C_OK, ""},
    {"o", "onONi", "li", "no", "NOi", T2C_OK, ""},
    {"on", "onON", "", "no", "NO", T2C_OK, ""},
    {"o", "ofF", "", "o", "", T2C_OK, ""},
    {"o", "oI", "", "o", "", T2C_OK, ""},
    {"o", "nf", "", "", "", T2C_AUTH, UNKNOWN},
    {"o", "", "", "", "", T2C_AUTH, UNKNOWN},
    {"i", "oi", "", "", "", T2C_AUTH, NO_CA},
    {"O", "onON", "", "", "", T2C_AUTH, NO_CA},
    {"x", "x", "", "", "", T2C_AUTH, NO_CA},
    {"s", "s", "s", "", "", T2C_AUTH, NO_CA},
    {"f", "f", "li", "", "", T2C_PROTO, UNVERIFIED},
};

START_TEST(first_bag_is_believed_by_fingerprint)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = bag_of(firsts[_i].bag);
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *server = bag_of(firsts[_i].server);
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    struct t2c_error err = {0};
    char list[500] = "";
    for (const char *at = firsts[_i].named; *at != '\0'; at++) {
        strcat(list, at > firsts[_i].named ? "," : "");
        fingerprint_of(certs[(int)*at], false, list + strlen(list));
    }
    ck_assert_int_eq(anchors_bootstrap(bag, list, server, NOW, &found, &err), firsts[_i].code == T2C_OK);
    ck_assert_int_eq(err.code, firsts[_i].code);
    ck_assert_str_eq(err.text, firsts[_i].text);
    assert_anchors(&found, firsts[_i].roots, firsts[_i].others);
}
END_TEST

/* ---- when again ---- */

static const struct {
    const char *roots;
    int64_t every_s, after_s;
} refreshes[] = {
    {"", 30 * DAY, 30 * DAY},
    {"n", 30 * DAY, 30 * DAY},
    {"no", 30 * DAY, 30 * DAY},
    {"no", 90 * DAY, 75 * DAY},
    {"nox", 90 * DAY, 3600},
    {"n", 60, 3600},
};

START_TEST(anchors_are_fetched_again_in_time)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = bag_of(refreshes[_i].roots);
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    ck_assert(anchors_sort(bag, &sorted, NULL));
    ck_assert_int_eq(anchors_refresh_s(&sorted, NOW, refreshes[_i].every_s), NOW + refreshes[_i].after_s);
}
END_TEST

/* ---- the cache ---- */

static char state_dir[64];

static void set_up_directory(void)
{
    strcpy(state_dir, "/tmp/check_anchors.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(state_dir));
}

static void tear_down_directory(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", state_dir);
    ck_assert_int_eq(system(command), 0);
}

static void save(const char *letters)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *bag = bag_of(letters);
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    struct t2c_error err = {0};
    ck_assert(anchors_sort(bag, &sorted, &err));
    ck_assert_msg(trust_save(state_dir, "device", &sorted, &err), "%s", err.text);
}

static void assert_loaded(const char *roots, const char *others, bool fetched, const char *note_text)
{
    T2C_CLEANUP(anchors_fini) struct anchors found = {0};
    struct t2c_error note = {0}, err = {0};
    int64_t fetched_s = -1, now_s = (int64_t)time(NULL);
    ck_assert_msg(trust_load(state_dir, "device", &found, &fetched_s, &note, &err), "%s", err.text);
    assert_anchors(&found, roots, others);
    ck_assert(fetched ? fetched_s > now_s - 60 && fetched_s <= now_s : fetched_s == 0);
    ck_assert_msg(note_text == NULL ? note.text[0] == '\0' : strstr(note.text, note_text) != NULL, "%s", note.text);
}

static void edit_cache(const char *name, const char *command)
{
    char line[256];
    snprintf(line, sizeof(line), "cd %s/trust && f=%s && %s", state_dir, name, command);
    ck_assert_int_eq(system(line), 0);
}

START_TEST(anchors_are_kept)
{
    char line[512];
    assert_loaded("", "", false, NULL);
    save("oi");
    assert_loaded("o", "i", true, NULL);
    save("onNO");
    assert_loaded("no", "NO", true, NULL);
    snprintf(line, sizeof(line),
        "cd %s/trust && ls -A | tr '\\n' ' ' | grep -qx 'device.pem device.pem.previous ' && "
        "openssl crl2pkcs7 -nocrl -certfile device.pem | openssl pkcs7 -print_certs -noout | grep -c ^subject | grep "
        "-qx 4",
        state_dir);
    ck_assert_int_eq(system(line), 0);
    save("");
    assert_loaded("", "", false, NULL);
}
END_TEST

static const char *const damages[] = {"echo >>$f", "truncate -s -1 $f", "truncate -s 0 $f", "truncate -s 300 $f",
    "sed -i '1i # a note' $f", "sed -i 's/$/\\r/' $f", "rm $f && mkdir $f", "head -c 300000 /dev/zero >$f",
    "sed -i 3s/[A-Z]/+/ $f"};

START_TEST(damaged_cache_is_not_used)
{
    save("oi");
    save("oi");
    edit_cache("device.pem", damages[_i]);
    assert_loaded("o", "i", false, "; the anchors before these are used, and they are fetched anew");
    edit_cache("device.pem.previous", damages[_i]);
    assert_loaded("", "", false, "; no anchors are kept, and they are fetched anew");
    edit_cache("device.pem", "rm -rf $f");
    edit_cache("device.pem.previous", "rm -rf $f");
    save("n");
    assert_loaded("n", "", true, NULL);
}
END_TEST

START_TEST(damaged_cache_does_not_become_the_previous_one)
{
    save("o");
    save("n");
    edit_cache("device.pem", "echo >>$f");
    save("f");
    edit_cache("device.pem", "echo >>$f");
    assert_loaded("o", "", false, "the anchors before these are used");
}
END_TEST

START_TEST(cache_that_cannot_be_reached_is_told)
{
    T2C_CLEANUP(anchors_fini) struct anchors none = {0};
    struct t2c_error err = {0}, note = {0};
    char loop[100];
    snprintf(loop, sizeof(loop), "%s/trust", state_dir);
    ck_assert_int_eq(symlink("trust", loop), 0);
    ck_assert(!trust_save(state_dir, "device", &none, &err));
    ck_assert_msg(strstr(err.text, loop) != NULL, "%s", err.text);
    ck_assert(trust_load(state_dir, "device", &none, NULL, &note, &err));
    ck_assert(sk_X509_num(none.roots) <= 0 && strstr(note.text, loop) != NULL);
}
END_TEST

static void add_tests(Suite *s, const char *name, SFun set_up_fixture)
{
    TCase *t = tcase_create(name);
    tcase_add_unchecked_fixture(t, set_up_fixture, tear_down);
    tcase_add_loop_test(t, cross_certificates_are_no_anchors, 0, COUNT(piles));
    tcase_add_loop_test(t, bags_are_merged, 0, COUNT(merges));
    tcase_add_loop_test(t, first_bag_is_believed_by_fingerprint, 0, COUNT(firsts));
    suite_add_tcase(s, t);
}

static Suite *suite(void)
{
    Suite *s = suite_create("anchors");
    add_tests(s, "with identifiers", set_up);
    add_tests(s, "without identifiers", set_up_without_identifiers);
    TCase *t = tcase_create("anchors");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, fingerprints_match, 0, 2);
    tcase_add_loop_test(t, bad_fingerprints_are_refused, 0, COUNT(bad_fingerprints));
    tcase_add_loop_test(t, anchors_are_fetched_again_in_time, 0, COUNT(refreshes));
    suite_add_tcase(s, t);
    t = tcase_create("cache");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_checked_fixture(t, set_up_directory, tear_down_directory);
    tcase_add_test(t, anchors_are_kept);
    tcase_add_loop_test(t, damaged_cache_is_not_used, 0, COUNT(damages));
    tcase_add_test(t, damaged_cache_does_not_become_the_previous_one);
    tcase_add_test(t, cache_that_cannot_be_reached_is_told);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
