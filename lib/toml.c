/*
 * One pass over the text. A path is a stack of names: the table's, then the key's on top of it, then those of inline tables.
 */
#include "tpm2cloud/toml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

struct reader {
    const char *at, *end;
    size_t line;
    t2c_toml_fn *fn;
    void *data;
    size_t table_n; /* of names, those of the table */
    size_t names_n;
    char names[T2C_TOML_PATH_MAX][T2C_TOML_NAME_MAX];
    char value[T2C_TOML_VALUE_MAX];
};

/* ---- characters ---- */

/* Gives the character AHEAD of where we are, NUL at the end; a NUL in the text is nothing that a value may have. */
static char peek(const struct reader *reader, size_t ahead)
{
    return (size_t)(reader->end - reader->at) > ahead ? reader->at[ahead] : '\0';
}

static void step(struct reader *reader)
{
    reader->line += *reader->at == '\n';
    reader->at++;
}

static bool take(struct reader *reader, char wanted)
{
    if (peek(reader, 0) != wanted)
        return false;
    step(reader);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct reader *reader)
{
    while (is_blank(peek(reader, 0)))
        step(reader);
}

static void skip_line(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at != '\n')
        step(reader);
}

/* What may stand between values: blanks, ends of lines, comments. */
static void skip_space(struct reader *reader)
{
    for (;;) {
        char c = peek(reader, 0);
        if (c == '#')
            skip_line(reader);
        else if (is_blank(c) || c == '\n' || c == '\r')
            step(reader);
        else
            return;
    }
}

/* ---- strings ---- */

struct text {
    char *out;
    size_t size, len;
};

static bool put(struct text *text, char c)
{
    if (text->len + 1 >= text->size)
        return false;
    text->out[text->len++] = c;
    text->out[text->len] = '\0';
    return true;
}

/* Puts the character of number CODE as UTF-8. */
static bool put_code(struct text *text, uint32_t code)
{
    if (code < 0x80)
        return code != 0 && put(text, (char)code);
    if (code < 0x800)
        return put(text, (char)(0xc0 | code >> 6)) && put(text, (char)(0x80 | (code & 0x3f)));
    if (code < 0x10000)
        return put(text, (char)(0xe0 | code >> 12)) && put(text, (char)(0x80 | (code >> 6 & 0x3f))) &&
            put(text, (char)(0x80 | (code & 0x3f)));
    return code < 0x110000 && put(text, (char)(0xf0 | code >> 18)) && put(text, (char)(0x80 | (code >> 12 & 0x3f))) &&
        put(text, (char)(0x80 | (code >> 6 & 0x3f))) && put(text, (char)(0x80 | (code & 0x3f)));
}

static bool read_number(struct reader *reader, size_t digits, struct text *text)
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = peek(reader, 0);
        const char *found = c != '\0' ? strchr(hex, c) : NULL;
        if (found == NULL)
            return false;
        code = code << 4 | (uint32_t)((found - hex) % 16);
        step(reader);
    }
    return put_code(text, code);
}

/* What a backslash, which was taken, means with what follows it. */
static bool read_escape(struct reader *reader, bool many_lines, struct text *text)
{
    static const char names[] = "btnfr\"\\", meanings[] = "\b\t\n\f\r\"\\";
    char c = peek(reader, 0);
    const char *found = c != '\0' ? strchr(names, c) : NULL;
    if (many_lines && (is_blank(c) || c == '\r' || c == '\n')) {
        while (is_blank(peek(reader, 0)) || peek(reader, 0) == '\r' || peek(reader, 0) == '\n')
            step(reader);
        return true;
    }
    if (c == '\0')
        return false;
    step(reader);
    if (c == 'u' || c == 'U')
        return read_number(reader, c == 'u' ? 4 : 8, text);
    return found != NULL && put(text, meanings[found - names]);
}

static bool is_end_of_many(const struct reader *reader, char quote)
{
    return peek(reader, 0) == quote && peek(reader, 1) == quote && peek(reader, 2) == quote;
}

static bool read_many_lines(struct reader *reader, char quote, struct text *text)
{
    reader->at += 3;
    if (peek(reader, 0) == '\r')
        step(reader);
    take(reader, '\n');
    while (!is_end_of_many(reader, quote) || peek(reader, 3) == quote) {
        if (reader->at >= reader->end || *reader->at == '\0')
            return false;
        if (quote == '"' && take(reader, '\\')) {
            if (!read_escape(reader, true, text))
                return false;
            continue;
        }
        if (!put(text, *reader->at))
            return false;
        step(reader);
    }
    reader->at += 3;
    return true;
}

static bool read_string(struct reader *reader, bool may_have_lines, struct text *text)
{
    const char quote = *reader->at;
    if (may_have_lines && is_end_of_many(reader, quote))
        return read_many_lines(reader, quote, text);
    step(reader);
    while (!take(reader, quote)) {
        char c = peek(reader, 0);
        if (c == '\0' || c == '\n')
            return false;
        step(reader);
        if (!(c == '\\' && quote == '"' ? read_escape(reader, false, text) : put(text, c)))
            return false;
    }
    return true;
}

/* ---- names ---- */

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Puts the name, or the names with dots between, on top of the path. */
static bool read_names(struct reader *reader)
{
    do {
        if (reader->names_n >= T2C_TOML_PATH_MAX)
            return false;
        struct text name = {.out = reader->names[reader->names_n], .size = T2C_TOML_NAME_MAX};
        name.out[0] = '\0';
        skip_blanks(reader);
        if (peek(reader, 0) == '"' || peek(reader, 0) == '\'') {
            if (!read_string(reader, false, &name))
                return false;
        } else {
            for (; is_bare(peek(reader, 0)); step(reader))
                if (!put(&name, *reader->at))
                    return false;
            if (name.len == 0)
                return false;
        }
        reader->names_n++;
        skip_blanks(reader);
    } while (take(reader, '.'));
    return true;
}

/* ---- values ---- */

static bool read_value(struct reader *reader, unsigned depth);

static void tell(struct reader *reader, const char *text, bool string)
{
    struct t2c_toml_value value = {.path_n = reader->names_n, .text = text, .string = string, .line = reader->line};
    for (size_t i = 0; i < reader->names_n; i++)
        value.path[i] = reader->names[i];
    reader->fn(reader->data, &value);
}

static bool read_array(struct reader *reader, unsigned depth)
{
    step(reader);
    for (skip_space(reader); !take(reader, ']'); skip_space(reader)) {
        if (!read_value(reader, depth + 1))
            return false;
        skip_space(reader);
        if (!take(reader, ',') && peek(reader, 0) != ']')
            return false;
    }
    return true;
}

static bool read_pair(struct reader *reader, unsigned depth)
{
    if (!read_names(reader) || !take(reader, '='))
        return false;
    skip_blanks(reader);
    return read_value(reader, depth);
}

static bool read_inline_table(struct reader *reader, unsigned depth)
{
    const size_t names_n = reader->names_n;
    step(reader);
    for (skip_space(reader); !take(reader, '}'); skip_space(reader)) {
        bool ok = read_pair(reader, depth + 1);
        reader->names_n = names_n;
        if (!ok)
            return false;
        skip_space(reader);
        if (!take(reader, ',') && peek(reader, 0) != '}')
            return false;
    }
    return true;
}

/* A number, a date, true or false. */
static bool read_plain(struct reader *reader)
{
    struct text text = {.out = reader->value, .size = sizeof(reader->value)};
    for (; peek(reader, 0) != '\0' && strchr(",]}#\r\n", *reader->at) == NULL; step(reader))
        if (!put(&text, *reader->at))
            return false;
    while (text.len > 0 && is_blank(text.out[text.len - 1]))
        text.out[--text.len] = '\0';
    if (text.len == 0)
        return false;
    tell(reader, reader->value, false);
    return true;
}

static bool read_value(struct reader *reader, unsigned depth)
{
    struct text text = {.out = reader->value, .size = sizeof(reader->value)};
    char c = peek(reader, 0);
    if (depth >= DEPTH_MAX)
        return false;
    if (c == '[')
        return read_array(reader, depth);
    if (c == '{')
        return read_inline_table(reader, depth);
    if (c != '"' && c != '\'')
        return read_plain(reader);
    reader->value[0] = '\0';
    if (!read_string(reader, true, &text))
        return false;
    tell(reader, reader->value, true);
    return true;
}

/* ---- lines ---- */

/* [table] or [[array of tables]]. What follows a header that is not understood is not, either. */
static bool read_table(struct reader *reader)
{
    step(reader);
    bool array = take(reader, '[');
    reader->names_n = 0;
    reader->table_n = T2C_TOML_PATH_MAX;
    if (!read_names(reader) || !take(reader, ']') || (array && !take(reader, ']')))
        return false;
    reader->table_n = reader->names_n;
    return true;
}

/* Reads a table's header or a pair, and nothing but a comment behind it. */
static bool read_line(struct reader *reader)
{
    reader->names_n = reader->table_n;
    if (!(peek(reader, 0) == '[' ? read_table(reader) : read_pair(reader, 0)))
        return false;
    skip_blanks(reader);
    if (peek(reader, 0) == '#')
        skip_line(reader);
    take(reader, '\r');
    return reader->at >= reader->end || peek(reader, 0) == '\n';
}

size_t t2c_toml_read(const char *text, size_t text_len, t2c_toml_fn *fn, void *data)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    size_t misses = 0;
    if (reader == NULL)
        return 1;
    reader->at = text;
    reader->end = text + text_len;
    reader->line = 1;
    reader->fn = fn;
    reader->data = data;
    for (skip_space(reader); reader->at < reader->end; skip_space(reader)) {
        if (read_line(reader))
            continue;
        misses++;
        skip_line(reader);
    }
    free(reader);
    return misses;
}
