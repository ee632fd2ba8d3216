/*
 * What a machine says of itself: model, serial number, MAC address; and the name of a device that follows from them.
 */
#ifndef TPM2CLOUD_TOOLS_HARDWARE_H
#define TPM2CLOUD_TOOLS_HARDWARE_H

#include "tpm2cloud/bytes.h"

#define HARDWARE_TEXT_MAX 128
#define HARDWARE_NAME_MAX (2 * 32 + 1)

/* "" for what the machine does not say. */
struct hardware {
    char model[HARDWARE_TEXT_MAX], serial[HARDWARE_TEXT_MAX];
    char mac[18]; /* 00:11:22:aa:bb:cc, of the first physical Ethernet interface by name */
};

/*
 * Looks below ROOT ("" for this machine). Model and serial number: /proc/device-tree/model and serial-number, else
 * product_name and product_serial of /sys/class/dmi/id.
 */
void hardware_read(const char *root, struct hardware *out);

/*
 * Gives the SHA-256, in lower-case hexadecimal, of three lines that each end with a line feed: model, serial number, MAC
 * address; what is not known is an empty line. Errors: NOT_FOUND when neither serial number nor MAC address is known.
 */
bool hardware_name(const struct hardware *hardware, char out[HARDWARE_NAME_MAX], struct t2c_error *err);

#endif
