/*
 * Device tree on boards, DMI on PCs; network interfaces that have a device, not those that the kernel makes up.
 */
#include "hardware.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/ossl.h"
#include "tpm2cloud/text.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NET "/sys/class/net"
#define ARPHRD_ETHERNET "1"

/* Gives the first line of PATH below ROOT without the blanks, and the NUL of the device tree, around it; "" without one. */
static bool read_line(const char *root, const char *path, char *out, size_t out_len)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    char whole[PATH_MAX];
    out[0] = '\0';
    if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= (int)sizeof(whole) ||
        !t2c_file_read(whole, 4096, &content, NULL) || content.len == 0)
        return false;
    char *line = (char *)content.data + strspn((const char *)content.data, " \t");
    line[strcspn(line, "\n")] = '\0';
    for (size_t len = strlen(line); len > 0 && strchr(" \t\r", line[len - 1]) != NULL;)
        line[--len] = '\0';
    t2c_text_copy(out, out_len, line);
    return out[0] != '\0';
}

/* What some boards say in place of a serial number that nobody wrote. */
static bool is_filler(const char *serial)
{
    static const char *const fillers[] = {
        "None", "Not Specified", "Default string", "To be filled by O.E.M.", "System Serial Number"};
    bool zero = strspn(serial, "0") == strlen(serial);
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++)
        zero = zero || strcasecmp(serial, fillers[i]) == 0;
    return zero;
}

/* ---- the interface ---- */

static bool is_physical(const char *root, const char *name)
{
    char path[PATH_MAX], type[16];
    snprintf(path, sizeof(path), "%s" NET "/%.64s/device", root, name);
    if (access(path, F_OK) != 0)
        return false;
    snprintf(path, sizeof(path), NET "/%.64s/type", name);
    return read_line(root, path, type, sizeof(type)) && strcmp(type, ARPHRD_ETHERNET) == 0;
}

static void read_mac(const char *root, char *out, size_t out_len)
{
    char dir[PATH_MAX], path[PATH_MAX];
    struct dirent **found = NULL;
    snprintf(dir, sizeof(dir), "%s" NET, root);
    int n = scandir(dir, &found, NULL, alphasort);
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), NET "/%.64s/address", found[i]->d_name);
        if (out[0] == '\0' && found[i]->d_name[0] != '.' && is_physical(root, found[i]->d_name))
            read_line(root, path, out, out_len);
        free(found[i]);
    }
    free(found);
}

/* ---- the whole ---- */

void hardware_read(const char *root, struct hardware *out)
{
    if (!read_line(root, "/proc/device-tree/model", out->model, sizeof(out->model)))
        read_line(root, "/sys/class/dmi/id/product_name", out->model, sizeof(out->model));
    if (!read_line(root, "/proc/device-tree/serial-number", out->serial, sizeof(out->serial)))
        read_line(root, "/sys/class/dmi/id/product_serial", out->serial, sizeof(out->serial));
    if (is_filler(out->serial))
        out->serial[0] = '\0';
    read_mac(root, out->mac, sizeof(out->mac));
}

bool hardware_name(const struct hardware *hardware, char out[HARDWARE_NAME_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    if (hardware->serial[0] == '\0' && hardware->mac[0] == '\0')
        return t2c_fail(err, T2C_NOT_FOUND,
            "this machine tells neither its serial number nor a MAC address, from which the device's name is made");
    return t2c_bytes_printf(&text, err, "%s\n%s\n%s\n", hardware->model, hardware->serial, hardware->mac) &&
        t2c_host_sha256_hex(text.data, text.len, out, err);
}
