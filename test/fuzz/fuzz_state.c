/*
 * The state file. What is read is written again, and that reads as the same.
 */
#include "tpm2cloud/state.h"

#include "fuzz.h"

static void assert_writes_again(const struct t2c_state *state)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes first = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes second = {0};
    T2C_CLEANUP(t2c_state_fini) struct t2c_state same = {0};
    struct t2c_error err = {0};
    assert(t2c_state_encode(state, &first, &err));
    assert(t2c_state_decode(first.data, first.len, &same, &err));
    assert(t2c_state_encode(&same, &second, &err));
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    struct t2c_error err = {0};
    if (t2c_state_decode(data, data_len, &state, &err)) {
        assert(state.entries_n <= T2C_STATE_ENTRIES_MAX);
        assert_writes_again(&state);
        return 0;
    }
    assert(err.code == T2C_INVALID || err.code == T2C_EXISTS);
    assert_refused(&err);
    assert(state.entries == NULL && state.entries_n == 0);
    return 0;
}
