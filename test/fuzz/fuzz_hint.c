/*
 * The JSON of a renewal hint.
 */
#include "../../estd/hint.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    struct hint_window window = {.start_s = 1, .end_s = 0};
    struct t2c_error err = {0};
    if (hint_decode(data, data_len, &window, &err)) {
        assert(window.start_s < window.end_s);
        assert(
            window.start_s > INT64_C(-70000000000) && window.end_s < INT64_C(300000000000)); /* four digits of years */
        return 0;
    }
    assert(err.code == T2C_PROTO && window.start_s == 1 && window.end_s == 0);
    assert_refused(&err);
    return 0;
}
