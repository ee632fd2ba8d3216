/*
 * Only what the verbs need: members of structs, texts, numbers.
 */
#include "json.h"

#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <string.h>

#define TEXT_MAX 1024

void json_text_to(FILE *to, const char *text)
{
    char clean[TEXT_MAX];
    t2c_text_copy(clean, sizeof(clean), text);
    putc('"', to);
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            putc('\\', to);
        putc(*at, to);
    }
    putc('"', to);
}

void json_text(const char *text)
{
    json_text_to(stdout, text);
}

void json_name(const char *name)
{
    json_text(name);
    fputs(": ", stdout);
}

void json_member(const char *name, const char *text)
{
    json_name(name);
    if (text != NULL)
        json_text(text);
    else
        fputs("null", stdout);
}

bool json_base64(const char *name, const void *data, size_t data_len, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (!t2c_bytes_base64(&text, data, data_len, 0, err))
        return false;
    json_name(name);
    printf("\"%s\"", text.len > 0 ? (const char *)text.data : "");
    return true;
}

static void print_number(const void *place)
{
    int64_t number = 0;
    memcpy(&number, place, sizeof(number));
    if (number == INT64_MAX)
        fputs("null", stdout);
    else
        printf("%" PRId64, number);
}

static void print_octets(const uint8_t *octets, size_t len)
{
    putchar('"');
    for (size_t i = 0; i < len; i++)
        printf("%02x", octets[i]);
    putchar('"');
}

static void print_value(const struct t2c_cbor_field *field, const void *place)
{
    switch (field->kind) {
    case T2C_CBOR_NUMBER:
        print_number(place);
        break;
    case T2C_CBOR_BOOL:
        fputs(*(const bool *)place ? "true" : "false", stdout);
        break;
    case T2C_CBOR_TEXT:
        json_text(place);
        break;
    case T2C_CBOR_OCTETS:
        print_octets(place, field->size);
        break;
    case T2C_CBOR_BYTES:
        print_octets(((const struct t2c_bytes *)place)->data, ((const struct t2c_bytes *)place)->len);
        break;
    case T2C_CBOR_STRUCT:
        putchar('{');
        json_members(field->fields, field->size, place);
        putchar('}');
        break;
    }
}

void json_members(const struct t2c_cbor_field *fields, size_t fields_n, const void *data)
{
    for (size_t i = 0; i < fields_n; i++) {
        if (i > 0)
            fputs(", ", stdout);
        json_name(fields[i].name);
        print_value(&fields[i], (const uint8_t *)data + fields[i].offset);
    }
}
