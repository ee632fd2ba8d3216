#!/bin/sh
# A program that does more with keys than to load one and sign once.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
for name in ldevid file rsa iak; do # the last one is restricted: its data is kept until the TPM hashes it
    "$T2C" key create $name --alg "$([ $name = rsa ] && echo rsa-2048 || echo ec-p256)" >/dev/null
    "$T2C" csr $name --subject /CN=$name --out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
    "$T2C" cert import $name "$work/$name.crt" >/dev/null
done
objects() { # TEST NAME
    with_conf "$BUILD/objects" "$1" "tpm2cloud://$2" "$work/$2.crt"
}
for name in ldevid file rsa iak; do
    for test in one-of-two-freed public-one-freed copy-outlives context-copied failure-leaves-nothing ends-once queue-is-left-alone \
        search-is-refused load-and-unload \
        freed-at-the-very-end; do
        check "$name: $test" objects $test $name
    done
    tpm_clean "$name"
done
check "8 threads that open, sign and free" objects threads ldevid
for name in ldevid file; do # of an RSA key, OpenSSL does not verify the signature of nothing
    check "$name: an empty digest" objects empty-digest $name
done
check "RSA-PSS options in any order" objects pss-options-in-any-order rsa
tpm_clean "after all that"
finish
