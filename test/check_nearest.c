/*
 * nearest: which word is taken for the one that was meant.
 */
#include "tpm2cloud/nearest.h"
#include "check_main.h"

#include <string.h>

static const char *const known[] = {"key", "csr", "cert", "doctor", "status", "enroll", "renew", "reload", "trust"};

static const struct {
    const char *word, *meant;
} words[] = {
    {"key", "key"},
    {"kye", "key"},      /* swapped */
    {"ke", "key"},       /* left out */
    {"keys", "key"},     /* added */
    {"kex", "key"},      /* exchanged */
    {"certs", "cert"},   /* and csr is further away */
    {"stats", "status"}, /* one letter of six */
    {"enrol", "enroll"},
    {"relaod", "reload"},
    {"rleaod", "reload"}, /* twice */
    {"tursts", "trust"},
    {"make", NULL},
    {"frobnicate", NULL},
    {"", NULL},
    {"a-word-that-is-longer-than-any-that-there-is", NULL},
};

START_TEST(word_is_meant)
{
    struct t2c_nearest nearest = {.word = words[_i].word, .word_len = strlen(words[_i].word)};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        t2c_nearest_offer(&nearest, known[i]);
    ck_assert_pstr_eq(nearest.found, words[_i].meant);
}
END_TEST

START_TEST(part_of_a_text)
{
    struct t2c_nearest nearest = {.word = "algo=ec-p256", .word_len = 4};
    t2c_nearest_offer(&nearest, "alg");
    ck_assert_pstr_eq(nearest.found, "alg");
    ck_assert_uint_eq(nearest.distance, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nearest");
    TCase *tcase = tcase_create("words");
    tcase_add_loop_test(tcase, word_is_meant, 0, sizeof(words) / sizeof(words[0]));
    tcase_add_test(tcase, part_of_a_text);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
