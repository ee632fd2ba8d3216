/*
 * A Location header: a redirect is followed to the same server or by a GET, over https, and nowhere else.
 */
#include "../../estd/origin.h"

#include "../../estd/est.h"
#include "fuzz.h"

#define BASE "https://est.example:8443/.well-known/est/label/simpleenroll"

static void follow(const char *location, bool post)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes target = {0};
    struct t2c_error err = {0};
    enum origin_redirect how = ORIGIN_SAME;
    if (!origin_follow(BASE, post, 307, location, &target, &how, &err)) {
        assert(err.code == T2C_PROTO || err.code == T2C_AUTH || err.code == T2C_INVALID);
        assert_refused(&err);
        return;
    }
    assert(strncmp((const char *)target.data, "https://", 8) == 0);
    assert((how == ORIGIN_SAME) == origin_is_same(BASE, (const char *)target.data));
    assert(!post || how == ORIGIN_SAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes location = {0};
    struct t2c_error err = {0};
    assert(t2c_bytes_append(&location, data, data_len, NULL));
    follow((const char *)location.data, false);
    follow((const char *)location.data, true);
    if (!est_check_url((const char *)location.data, &err))
        assert_refused(&err);
    return 0;
}
