/*
 * How each Check program runs: TAP on standard output, which automake's driver reads, so that every test is listed by name.
 */
#ifndef TPM2CLOUD_TEST_CHECK_MAIN_H
#define TPM2CLOUD_TEST_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Gives the rounds of a test that wants N: one in $CHECK_PART, where each takes long, as under valgrind. */
static inline int check_rounds(int n)
{
    const char *part = getenv("CHECK_PART");
    return part != NULL && atoi(part) > 1 ? n / atoi(part) : n;
}

/* Takes SUITE. Gives main's return value. */
static inline int check_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
