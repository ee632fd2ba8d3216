/*
 * Inside lib's TPM half: sessions that keep an authorization value off the wire.
 */
#ifndef TPM2CLOUD_LIB_SESSION_H
#define TPM2CLOUD_LIB_SESSION_H

#include "object.h"

/*
 * Starts an HMAC session that ends with the command it is used for, salted to SALT: only a TPM that holds that very key can
 * take part, whoever sits on the bus. NULL: without salt, the value stays hidden, but who records the bus may try guesses. WHAT: TPMA_SESSION_DECRYPT and _ENCRYPT to encrypt the first parameter of command and
 * response. One TPM command. Spec: TPM 2.0 part 1, "Session-based authorizations" and "Salted session".
 */
bool t2c_session_start(
    struct t2c_tpm_use *use, struct t2c_object *salt, TPMA_SESSION what, ESYS_TR *session, struct t2c_error *err);

/*
 * Gives the session that authorizes the use of an object as its user: a password session, which has no value to send; for an
 * object that is used by its policy alone a policy session, with what the policy of endorsement keys asks for
 * (PolicySecret of the endorsement hierarchy), which it is to be used with and ends. Two TPM commands then.
 * Spec: TCG EK Credential Profile, PolicyA.
 */
bool t2c_session_for_user(struct t2c_tpm_use *use, const TPMT_PUBLIC *object, ESYS_TR *session, struct t2c_error *err);

/* Ends what is left of a session: after a command that failed the TPM keeps it. */
void t2c_session_end(struct t2c_tpm_use *use, ESYS_TR session, bool command_failed);

#endif
