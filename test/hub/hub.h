/*
 * A stand-in for the hubs of clouds: a plugin of mosquitto that lets a device in as they do. Nothing of lib is in it, since it is
 * what lib's tokens are held against.
 */
#ifndef TPM2CLOUD_TEST_HUB_H
#define TPM2CLOUD_TEST_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUB_FILE_MAX 4096

/* Reads DIR/DEVICE.EXTENSION into OUT, of HUB_FILE_MAX bytes, with a NUL behind it. */
bool hub_read(const char *dir, const char *device, const char *extension, char *out);

/* Gives the bytes of base64, or of base64url without padding, in OUT; -1 for what is neither, or longer than OUT. */
int hub_decode(const char *text, size_t text_len, bool url, uint8_t *out, size_t out_len);

/*
 * Checks a shared access signature: it is for RESOURCE, not over, and by the key in base64 of DIR/DEVICE.key. Gives: NULL, or what is
 * wrong with it.
 */
const char *hub_check_sas(const char *token, const char *resource, const char *dir, const char *device);

/* Checks a JSON web token: for AUDIENCE, now, and by the private half of DIR/DEVICE.pub. Gives: as hub_check_sas. */
const char *hub_check_jwt(const char *token, const char *audience, const char *dir, const char *device);

#endif
