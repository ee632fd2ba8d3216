/*
 * What a value may be is what the services would take: a threshold as cert-renewal parses it, a common name that certd does not
 * cut, an id that the Device Provisioning Service has.
 */
#include "aziot_settings.h"

#include "tpm2cloud/text.h"
#include "tpm2cloud/uri.h"
#include <string.h>

#define ID_MAX 64 /* certd cuts a common name there */
#define SCOPE_MAX 64

static const char *const forms[] = {"dps", "est-basic", "est-mtls"};

typedef bool check_fn(const char *value);

static bool is_name(const char *value)
{
    return t2c_uri_name_valid(value, strlen(value));
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_made_of(const char *value, size_t max_len, const char *others)
{
    size_t len = strlen(value);
    for (const char *at = value; *at != '\0'; at++)
        if (!is_alnum(*at) && strchr(others, *at) == NULL)
            return false;
    return len > 0 && len <= max_len && is_alnum(value[len - 1]);
}

static bool is_scope(const char *value)
{
    return is_made_of(value, SCOPE_MAX, "");
}

static bool is_id(const char *value)
{
    return is_made_of(value, ID_MAX, "-._:");
}

static bool is_host(const char *value)
{
    return is_made_of(value, 255, "-.:");
}

/* A password goes there: never without TLS. */
static bool is_https(const char *value)
{
    static const char scheme[] = "https://";
    return strncmp(value, scheme, strlen(scheme)) == 0 && is_alnum(value[strlen(scheme)]) &&
        strpbrk(value, " \"<>\\^`{|}") == NULL && t2c_text_is_clean(value, strlen(value));
}

/* N%, below 100, or Nmin, or Nday. */
static bool is_policy(const char *value)
{
    char *unit = NULL;
    long n = value[0] >= '1' && value[0] <= '9' ? strtol(value, &unit, 10) : 0;
    if (n <= 0 || n > 1000000)
        return false;
    return (strcmp(unit, "%") == 0 && n < 100) || strcmp(unit, "min") == 0 || strcmp(unit, "day") == 0;
}

/* Each of them absolute. */
static bool is_trust(const char *value)
{
    for (const char *at = value; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL)
        if (at[0] != '/' || at[1] == '\0' || at[1] == ',')
            return false;
    return t2c_text_is_clean(value, strlen(value));
}

static bool is_text(const char *value)
{
    return value[0] != '\0' && t2c_text_is_clean(value, strlen(value));
}

enum need { NO, MAY, MUST };

/* An option, for which form, and what it may be. */
struct rule {
    const char *option;
    size_t offset;
    enum need need[3]; /* by enum aziot_form */
    check_fn *check;
    const char *is; /* what it should be */
};

#define FIELD(member) offsetof(struct aziot_settings, member)

static const struct rule rules[] = {
    {"scope", FIELD(scope), {MUST, MUST, MUST}, is_scope, "an ID scope, as 0ne00112233"},
    {"endpoint", FIELD(endpoint), {MAY, MAY, MAY}, is_https, "an https:// URL"},
    {"hostname", FIELD(hostname), {MAY, MAY, MAY}, is_host, "a host name or an address"},
    {"name", FIELD(name), {MUST, NO, MAY}, is_name, "the name of a key"},
    {"edge-ca", FIELD(edge_ca), {MAY, MAY, MAY}, is_name, "the name of a key"},
    {"id", FIELD(id), {NO, MUST, MUST}, is_id,
        "a registration id: up to 64 letters, digits and -._:, and no sign last"},
    {"est", FIELD(est), {NO, MUST, MUST}, is_https, "an https:// URL"},
    {"est-device", FIELD(est_device), {NO, MAY, MAY}, is_https, "an https:// URL"},
    {"est-edge-ca", FIELD(est_edge_ca), {NO, MAY, MAY}, is_https, "an https:// URL"},
    {"trust", FIELD(trust), {NO, MAY, MAY}, is_trust, "absolute paths, a comma between them"},
    {"user", FIELD(user), {NO, MUST, NO}, is_text, "text without control characters"},
    {"password-from", FIELD(password), {NO, MUST, NO}, is_text, "the source of a text without control characters"},
    {"bootstrap", FIELD(bootstrap), {NO, NO, MAY}, is_name, "the name of a key"},
    {"threshold", FIELD(threshold), {NO, MAY, MAY}, is_policy, "as 80%, 90min or 10day"},
    {"retry", FIELD(retry), {NO, MAY, MAY}, is_policy, "as 4%, 90min or 1day"},
};

static const char *value_of(const struct aziot_settings *settings, const struct rule *rule)
{
    const char *value = NULL;
    memcpy(&value, (const char *)settings + rule->offset, sizeof(value));
    return value;
}

static bool check_rule(const struct aziot_settings *settings, const struct rule *rule, struct t2c_error *err)
{
    const char *value = value_of(settings, rule), *form = forms[settings->form];
    enum need need = rule->need[settings->form];
    if (value == NULL)
        return need != MUST || t2c_fail(err, T2C_INVALID, "%s wants --%s: %s", form, rule->option, rule->is);
    if (need == NO)
        return t2c_fail(err, T2C_INVALID, "%s has no use for --%s", form, rule->option);
    if (rule->check(value))
        return true;
    return rule->offset == FIELD(password)
        ? t2c_fail(err, T2C_INVALID, "--%s is not %s", rule->option, rule->is)
        : t2c_fail(err, T2C_INVALID, "--%s: \"%s\" is not %s", rule->option, value, rule->is);
}

bool aziot_settings_check(const struct aziot_settings *settings, struct t2c_error *err)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (!check_rule(settings, &rules[i], err))
            return false;
    if (settings->form == AZIOT_EST_MTLS && (settings->name != NULL) == (settings->bootstrap != NULL))
        return t2c_fail(err, T2C_INVALID,
            "est-mtls wants either --bootstrap, a name that aziot-certd enrols an identity of its own by, or --name, "
            "whose key and certificate it uses as they are");
    if (settings->edge_ca != NULL && settings->est_edge_ca != NULL)
        return t2c_fail(err, T2C_INVALID,
            "--edge-ca says that estd renews the edge CA, --est-edge-ca that aziot-certd does: a certificate has one "
            "renewer");
    return !settings->keep_key || settings->form != AZIOT_DPS ||
        t2c_fail(err, T2C_INVALID, "%s has no use for --keep-key", forms[AZIOT_DPS]);
}
