#!/bin/sh
# A program of many threads that use keys of the TPM at once. It carries the provider within itself, so that the thread
# sanitizer, where the build has it, sees all of ours.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
for name in ldevid file rsa; do
    "$T2C" key create $name --alg "$([ $name = rsa ] && echo rsa-2048 || echo ec-p256)" >/dev/null
    "$T2C" csr $name --subject /CN=$name --out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
done
"$T2C" key create agree --decrypt >/dev/null
"$T2C" csr agree --subject /CN=agree --out "$work/agree.csr"
"$ESTCA" sign "$work/pki" --csr "$work/agree.csr" --out "$work/agree.crt"
objects() { # TEST NAME
    "$BUILD/objects" --builtin "$1" "tpm2cloud://$2" "$work/$2.crt"
}
check "8 threads that open, sign and free" objects threads ldevid
check "8 threads that load the provider, sign and unload it" objects threads-load-and-unload ldevid
for name in ldevid file rsa; do
    # Each key object of a file takes one of the TPM's three slots, and the parent one while it is loaded.
    check "$name: 2 threads that open, sign and free" objects two-threads $name
    check "$name: 8 threads that sign with one key" objects threads-share-a-key $name
done
check "8 threads that agree on secrets, and sign" "$BUILD/operations" --builtin threads-agree tpm2cloud://agree "$work/agree.crt"
tpm_clean "after all that"
finish
