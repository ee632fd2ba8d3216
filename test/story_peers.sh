#!/bin/sh
# Key files are those of the neighbours: tpm2-openssl signs with ours, and reads the same public key.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
peer="$(pkg-config --variable=modulesdir libcrypto)/tpm2.so"
[ -e "$peer" ] || skip_all "tpm2-openssl is not installed"
tpm_start
echo "some data" >"$work/data"
for algorithm in ec-p256 rsa-2048; do
    "$T2C" key create "k-$algorithm" --alg $algorithm >/dev/null
    ssl pkey -in "tpm2cloud:k-$algorithm" -pubout -out "$work/ours.pub"
    OPENSSL_MODULES=$(dirname "$peer")
    check "$algorithm: tpm2-openssl reads our key file" openssl pkey -provider tpm2 -provider default \
        -in "$work/keys/k-$algorithm.pem" -pubout -out "$work/theirs.pub"
    check "$algorithm: and the same public key" cmp "$work/ours.pub" "$work/theirs.pub"
    check "$algorithm: and signs with it" openssl req -provider tpm2 -provider default -new -subj /CN=x \
        -key "$work/keys/k-$algorithm.pem" -out "$work/x.csr"
    check "$algorithm: openssl verifies that" openssl req -in "$work/x.csr" -noout -verify
    tpm2_flushcontext -t
    check "$algorithm: tpm2-openssl makes a key file" openssl genpkey -provider tpm2 -provider default \
        -algorithm "$([ $algorithm = rsa-2048 ] && echo RSA || echo EC)" \
        -pkeyopt "$([ $algorithm = rsa-2048 ] && echo bits:2048 || echo group:P-256)" -pkeyopt parent:0x81000001 \
        -out "$work/keys/peer-$algorithm.pem"
    tpm2_flushcontext -t
    OPENSSL_MODULES=$BUILD/.libs
    check "$algorithm: we sign with it" ssl dgst -sha256 -sign "tpm2cloud:peer-$algorithm" -out "$work/sig" "$work/data"
    ssl pkey -in "tpm2cloud:;file=$work/keys/peer-$algorithm.pem" -pubout -out "$work/theirs.pub"
    check "$algorithm: openssl verifies that too" openssl dgst -sha256 -verify "$work/theirs.pub" -signature "$work/sig" \
        "$work/data"
done
OPENSSL_MODULES=$(dirname "$peer")
openssl genpkey -provider tpm2 -provider default -algorithm EC -pkeyopt group:P-256 -out "$work/keys/hierarchy.pem" 2>/dev/null
tpm2_flushcontext -t
OPENSSL_MODULES=$BUILD/.libs
check_fails "a key below a hierarchy is refused, saying so" \
    "its parent is 0x40000001; this version uses keys below a persistent key only" "$T2C" csr hierarchy --subject /CN=x
tpm_clean "after all that"
finish
