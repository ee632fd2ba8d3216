/*
 * What comes from DPS: two octets of a status, then a body. What is understood of it keeps the promises on which URLs, files and
 * other programs rely; a key in it is taken apart as a challenge. A body may also be what was kept of a registration.
 */
#include "../../tools/dps_answer.h"

#include "../../lib/challenge.h"
#include "../../tools/dps_record.h"
#include "fuzz.h"
#include "tpm2cloud/text.h"
#include <ctype.h>

static void assert_words(const char *text)
{
    assert(t2c_text_is_clean(text, strlen(text)));
}

static void take_apart(const void *blob, size_t blob_len)
{
    struct t2c_challenge challenge;
    struct t2c_error err = {0};
    if (t2c_challenge_parse(blob, blob_len, &challenge, &err))
        assert(challenge.pub.publicArea.type == TPM2_ALG_KEYEDHASH);
    else
        assert_refused(&err);
}

static void read_answer(long status, const uint8_t *body, size_t body_len)
{
    T2C_CLEANUP(dps_answer_fini) struct dps_answer answer = {0};
    struct t2c_error err = {0};
    char words[420];
    if (!dps_answer_read(status, body, body_len, &answer, &err)) {
        assert(err.code == T2C_PROTO && answer.key.data == NULL);
        assert_refused(&err);
        return;
    }
    assert_words(dps_answer_words(&answer, words, sizeof(words)));
    assert_words(answer.state);
    assert_words(answer.substatus);
    for (const char *at = answer.operation; *at != '\0'; at++)
        assert(isalnum((unsigned char)*at) || strchr("-._", *at) != NULL);
    assert(answer.kind != DPS_ASSIGNING || answer.operation[0] != '\0');
    assert(answer.kind != DPS_ASSIGNED || (answer.hub[0] != '\0' && answer.device[0] != '\0'));
    assert(answer.kind != DPS_CHALLENGE || answer.key.len > 0);
    if (answer.key.len > 0)
        take_apart(answer.key.data, answer.key.len);
}

static void read_record(const uint8_t *text, size_t text_len)
{
    struct dps_record record, again;
    struct t2c_error err = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    if (!dps_record_parse(text, text_len, &record, &err)) {
        assert_explained(&err);
        return;
    }
    assert(dps_record_format(&record, &out, &err) && dps_record_parse(out.data, out.len, &again, &err));
    assert(dps_record_is_of(&record, &again) && record.registered_s == again.registered_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    if (data_len < 2)
        return 0;
    read_answer(100 + (data[0] << 8 | data[1]) % 500, data + 2, data_len - 2);
    read_record(data + 2, data_len - 2);
    take_apart(data, data_len);
    return 0;
}
