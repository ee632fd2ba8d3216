/*
 * NV indices that hold a certificate or any other opaque bytes. Knows no X.509.
 */
#ifndef TPM2CLOUD_NV_H
#define TPM2CLOUD_NV_H

#include "tpm2cloud/bytes.h"

/*
 * Appends the whole content of INDEX, read in chunks of what the TPM can: with the index's own empty auth, or that of the
 * hierarchy that may. Errors: NOT_FOUND when there is no such index; AUTH naming the setting that gives a hierarchy's value.
 */
bool t2c_nv_read(uint32_t index, struct t2c_bytes *out, struct t2c_error *err);

/*
 * True when t2c_nv_read failed for WHY because the index is as it is (never written, not readable to us), and not because of
 * the TPM or the way to it: who looks at several goes on with the next.
 */
bool t2c_nv_is_odd(const struct t2c_error *why);

/* Of the attributes: the index has content; TPM2_Clear spares it. Spec: TPM 2.0 part 2, TPMA_NV. */
#define T2C_NV_WRITTEN 0x20000000u
#define T2C_NV_PLATFORMCREATE 0x40000000u

/* Gives the attributes of INDEX (TPMA_NV). Errors: NOT_FOUND when there is no such index. */
bool t2c_nv_attributes(uint32_t index, uint32_t *out, struct t2c_error *err);

/*
 * Defines INDEX, in place of what may be defined there, and writes DATA in chunks, the first one last: until then INDEX
 * begins with 0xFF or 0x00. It is defined with the platform's authorization, so that TPM2_Clear spares it;
 * where the platform's is not ours (a PC's firmware keeps it), with the owner's: *cleared_with_owner then becomes true.
 * Everyone may read it, with the index's own empty auth. On failure the index is removed again.
 * Errors: AUTH naming the setting that gives a hierarchy's value, for what is there, too; TPM when there is no room.
 */
bool t2c_nv_write(uint32_t index, const void *data, size_t data_len, bool *cleared_with_owner, struct t2c_error *err);

/* Removes INDEX, as the hierarchy that made it. Errors: NOT_FOUND when there is no such index; AUTH. */
bool t2c_nv_remove(uint32_t index, struct t2c_error *err);

#endif
