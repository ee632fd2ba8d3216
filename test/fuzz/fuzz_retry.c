/*
 * The value of a Retry-After header: seconds, or a date in one of three forms.
 */
#include "../../estd/est.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    static const int64_t nows_s[] = {0, INT64_C(784111777), INT64_C(1800000000), INT64_C(253402300799)};
    char value[64]; /* as http.c keeps it */
    size_t len = data_len < sizeof(value) ? data_len : sizeof(value) - 1;
    memcpy(value, data, len);
    value[len] = '\0';
    for (size_t i = 0; i < sizeof(nows_s) / sizeof(nows_s[0]); i++) {
        int64_t wait_s = est_retry_after_s(value, nows_s[i]);
        assert(wait_s == -1 || (wait_s >= 1 && wait_s <= 7 * 86400));
    }
    return 0;
}
