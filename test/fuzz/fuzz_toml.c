/*
 * The TOML reader: it ends, reads no byte beyond the text, and tells of values within its limits, in the order of lines.
 */
#include "tpm2cloud/toml.h"

#include "fuzz.h"
#include <stdlib.h>

struct seen {
    size_t line, values;
};

static void look(void *data, const struct t2c_toml_value *value)
{
    struct seen *seen = data;
    assert(value->path_n >= 1 && value->path_n <= T2C_TOML_PATH_MAX);
    for (size_t i = 0; i < value->path_n; i++)
        assert(strlen(value->path[i]) < T2C_TOML_NAME_MAX);
    assert(strlen(value->text) < T2C_TOML_VALUE_MAX);
    assert(value->string || value->text[0] != '\0');
    assert(value->line >= seen->line && value->line >= 1);
    seen->line = value->line;
    seen->values++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    char *text = malloc(data_len > 0 ? data_len : 1);
    struct seen first = {0}, second = {0};
    size_t lines = 1;
    assert(text != NULL);
    memcpy(text, data, data_len);
    for (size_t i = 0; i < data_len; i++)
        lines += text[i] == '\n';
    size_t misses = t2c_toml_read(text, data_len, look, &first);
    assert(misses <= lines && first.line <= lines && first.values <= data_len);
    assert(t2c_toml_read(text, data_len, look, &second) == misses && second.values == first.values);
    free(text);
    return 0;
}
