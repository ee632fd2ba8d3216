/*
 * How each Check program runs: TAP on standard output, which automake's driver reads, so that every test is listed by name.
 */
#ifndef TPM2CLOUD_TEST_CHECK_MAIN_H
#define TPM2CLOUD_TEST_CHECK_MAIN_H

#include <check.h>
#include <stdlib.h>

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
