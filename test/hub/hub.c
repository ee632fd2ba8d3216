/*
 * In mosquitto.conf, behind a listener:
 *
 *     plugin /path/hub.so
 *     plugin_opt_host hub.azure-devices.net      of IoT Hub's form
 *     plugin_opt_project my-project              of IoT Core's form
 *     plugin_opt_devices /path                   DEVICE.key: a shared access key; DEVICE.pub: a public key; DEVICE.x509: an empty
 *                                                file, of a device with a certificate
 *
 * A device of IoT Hub's form comes as client DEVICE and user HOST/DEVICE/?api-version=..., with a token as password or with a
 * certificate whose common name is DEVICE; one of IoT Core's form as client projects/PROJECT/locations/L/registries/R/devices/DEVICE.
 */
#include "hub.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static char host[256], project[256], devices[1024];

bool hub_read(const char *dir, const char *device, const char *extension, char *out)
{
    char path[2048];
    snprintf(path, sizeof(path), "%s/%s.%s", dir, device, extension);
    FILE *in = strchr(device, '/') == NULL ? fopen(path, "re") : NULL;
    size_t len = in != NULL ? fread(out, 1, HUB_FILE_MAX - 1, in) : 0;
    out[len] = '\0';
    if (in != NULL)
        fclose(in);
    return in != NULL;
}

int hub_decode(const char *text, size_t text_len, bool url, uint8_t *out, size_t out_len)
{
    char standard[HUB_FILE_MAX];
    size_t pads = url ? (4 - text_len % 4) % 4 : 0;
    if (text_len + pads >= sizeof(standard) || (text_len + pads) / 4 * 3 > out_len)
        return -1;
    for (size_t i = 0; i < text_len; i++) {
        if (url && (text[i] == '+' || text[i] == '/' || text[i] == '='))
            return -1;
        standard[i] = url && text[i] == '-' ? '+' : url && text[i] == '_' ? '/' : text[i];
    }
    memset(standard + text_len, '=', pads);
    for (size_t i = text_len; !url && i > 0 && text[i - 1] == '='; i--)
        pads++;
    int len = EVP_DecodeBlock(out, (const unsigned char *)standard, (int)(text_len + (url ? pads : 0)));
    return len >= (int)pads ? len - (int)pads : -1;
}

/* ---- who it is ---- */

/* Gives the device of IoT Core's form, or NULL. */
static const char *core_device(const char *client)
{
    char prefix[300];
    const char *last = strstr(client, "/devices/");
    snprintf(prefix, sizeof(prefix), "projects/%s/locations/", project);
    return last != NULL && strncmp(client, prefix, strlen(prefix)) == 0 ? last + strlen("/devices/") : NULL;
}

static bool has_name(X509 *cert, const char *device)
{
    char name[256] = "";
    return X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name)) > 0 &&
        strcmp(name, device) == 0;
}

/* A certificate that mosquitto took is a CA's that the hub knows. */
static const char *check_certificate(const struct mosquitto *client, const char *device)
{
    char unused[HUB_FILE_MAX];
    X509 *cert = mosquitto_client_certificate(client);
    bool named = cert != NULL && has_name(cert, device);
    X509_free(cert);
    return !named                                   ? "neither a token nor a certificate of this device"
        : hub_read(devices, device, "x509", unused) ? NULL
                                                    : "this device does not come with a certificate";
}

static const char *check_azure(const struct mosquitto_evt_basic_auth *event, const char *device)
{
    char wanted[600], resource[600];
    snprintf(wanted, sizeof(wanted), "%s/%s/?api-version=20", host, device);
    if (event->username == NULL || strncmp(event->username, wanted, strlen(wanted)) != 0)
        return "a user name that is not HOST/DEVICE/?api-version=...";
    if (event->password == NULL || event->password[0] == '\0')
        return check_certificate(event->client, device);
    snprintf(resource, sizeof(resource), "%s/devices/%s", host, device);
    return hub_check_sas(event->password, resource, devices, device);
}

static int on_auth(int event_id, void *event_data, void *data)
{
    const struct mosquitto_evt_basic_auth *event = event_data;
    const char *client = mosquitto_client_id(event->client), *device = core_device(client);
    (void)event_id;
    (void)data;
    const char *wrong = device == NULL ? check_azure(event, client)
        : event->password == NULL      ? "no token"
                                       : hub_check_jwt(event->password, project, devices, device);
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "hub: %s: %s", client, wrong != NULL ? wrong : "let in");
    return wrong == NULL ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

/* ---- what it may do ---- */

static int on_acl(int event_id, void *event_data, void *data)
{
    const struct mosquitto_evt_acl_check *event = event_data;
    const char *client = mosquitto_client_id(event->client), *device = core_device(client);
    char topic[600];
    (void)event_id;
    (void)data;
    if (device != NULL)
        snprintf(topic, sizeof(topic), "/devices/%s/events", device);
    else
        snprintf(topic, sizeof(topic), "devices/%s/messages/events/", client);
    bool may = event->access == MOSQ_ACL_WRITE && strncmp(event->topic, topic, strlen(topic)) == 0;
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "hub: %s: %s %s", client, may ? "may" : "may not", event->topic);
    return may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* ---- the plugin ---- */

int mosquitto_plugin_version(int supported_n, const int *supported)
{
    for (int i = 0; i < supported_n; i++)
        if (supported[i] == 5)
            return 5;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **data, struct mosquitto_opt *options, int options_n)
{
    (void)data;
    for (int i = 0; i < options_n; i++) {
        if (strcmp(options[i].key, "host") == 0)
            snprintf(host, sizeof(host), "%s", options[i].value);
        else if (strcmp(options[i].key, "project") == 0)
            snprintf(project, sizeof(project), "%s", options[i].value);
        else if (strcmp(options[i].key, "devices") == 0)
            snprintf(devices, sizeof(devices), "%s", options[i].value);
    }
    int rc = mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, on_auth, NULL, NULL);
    return rc != MOSQ_ERR_SUCCESS ? rc : mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_acl, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int options_n)
{
    (void)data;
    (void)options;
    (void)options_n;
    return MOSQ_ERR_SUCCESS;
}
