#!/bin/sh
# HMAC keys and sealed data in the TPM: the numbers are OpenSSL's, and what is secret does not go over the wire.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap
tpm_start
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
long=$(head -c 100 /dev/zero | od -An -v -tx1 | tr -d ' \n')ab
counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
secrets() {
    : >"$work/commands"
    TPM2CLOUD_TCTI=$counting T2C_TCTI_TRAFFIC=$work/wire T2C_TCTI_LOG=$work/commands "$BUILD/secrets" "$@"
}
openssl_hmac() { # HEX FILE
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -r <"$2" | cut -d' ' -f1
}
on_wire() { # HEX, or a pattern of it
    od -An -v -tx1 "$work/wire" | tr -d ' \n' | grep -q "$1"
}

check_fails "without a recorded storage root key nothing secret is sent" "tpm2cloud key pin srk" \
    secrets make hmac "$work/no" $key
"$T2C" key create srk >/dev/null
check "an HMAC key from outside" secrets make hmac "$work/key" $key
check "a longer one than SHA-256's block" secrets make hmac "$work/long" "$long"
check "one that the TPM makes" secrets make hmac "$work/random"
printf message >"$work/message"
: >"$work/empty"
head -c 1024 /dev/urandom >"$work/1024"
head -c 1025 /dev/urandom >"$work/1025"
head -c 100000 /dev/urandom >"$work/100000"
check_equal "the published vector" 6297b77508a1a30ea4dfadd8f847c31b49aba45de10a79daf721d3f7ec112a24 \
    "$(secrets hmac "$work/key" 1 <"$work/message")"
for data in message empty 1024 1025 100000; do
    check_equal "as OpenSSL, of $data" "$(openssl_hmac $key "$work/$data")" "$(secrets hmac "$work/key" 1 <"$work/$data")"
    check_equal "and hidden" "$(openssl_hmac $key "$work/$data")" "$(secrets hmac "$work/key" 1 hide <"$work/$data")"
done
check_equal "as OpenSSL, by the long key" "$(openssl_hmac "$long" "$work/message")" \
    "$(secrets hmac "$work/long" 1 <"$work/message")"
mv "$work/wire" "$work/earlier"
secrets hmac "$work/key" 1 hide <"$work/1025" >/dev/null
check_fails "hidden, a key is used in a session, of long data too" "" on_wire '0000015b.\{16\}40000009'
secrets hmac "$work/key" 1 <"$work/1025" >/dev/null
check "and else by its mark" on_wire '0000015b.\{16\}40000009'
cat "$work/earlier" >>"$work/wire"
mac=$(secrets hmac "$work/random" 1 <"$work/message")
check_equal "the TPM's own key stays the same" "$mac" "$(secrets hmac "$work/random" 1 <"$work/message")"
check "and is another" [ "$mac" != "$(openssl_hmac $key "$work/message")" ]

secrets hmac "$work/key" 10 <"$work/message" >/dev/null
check_equal "10 times is one TPM2_HMAC each" 10 "$(grep -c 00000155 "$work/commands")"
check_equal "and no more than a Load and a FlushContext beside" 12 "$(grep -c . "$work/commands")"

check "32 bytes are sealed" secrets make sealed "$work/sealed" $key
check_equal "and come out again" $key "$(secrets unseal "$work/sealed")"
check "the key never goes over the wire" sh -c "! od -An -v -tx1 '$work/wire' | tr -d ' \\n' | grep -q $key"
: >"$work/wire"
mac=$(secrets hmac "$work/key" 1 hide <"$work/message")
check "a hidden answer neither" sh -c "! od -An -v -tx1 '$work/wire' | tr -d ' \\n' | grep -q $mac"
secrets hmac "$work/key" 1 <"$work/message" >/dev/null
check "one that is not hidden does: the check can fail" on_wire "$mac"

check_fails "an empty secret" "a secret of 0 bytes; the TPM takes 1 to 128" secrets make sealed "$work/no"
check_fails "one that is too long" "a secret of 202 bytes; the TPM takes 1 to 128" \
    secrets make sealed "$work/no" "$long$long"
check_fails "sealed data is no key" "the TPM object in it is not an HMAC key" secrets hmac "$work/sealed" 1
check_fails "a key is no sealed data" "the TPM object in it is not sealed data" secrets unseal "$work/key"
"$T2C" key create device >/dev/null
find "$work" -name 'device*.pem' -exec cp {} "$work/device.pem" \;
check_fails "a signing key is neither" "the TPM object in it is not sealed data" secrets unseal "$work/device.pem"
tpm_clean "secrets"
finish
