#!/bin/sh
# What the TPM is asked to do, counted at its socket: the budget of DESIGN, not one command more.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_evictcontrol
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
for name in ldevid rsa; do
    "$T2C" key create $name --alg "$([ $name = rsa ] && echo rsa-2048 || echo ec-p256)" >/dev/null
    "$T2C" csr $name --subject /CN=$name --eku clientAuth,serverAuth --out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
    "$T2C" cert import $name "$work/$name.crt" >/dev/null
    "$T2C" key pem $name --out "$work/$name.key"
done
export TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_LOG="$work/commands"

names() { # the commands so far, by name
    sed -e 's/0000015d/Sign/' -e 's/00000159/RSA_Decrypt/' -e 's/00000173/ReadPublic/' -e 's/00000157/Load/' -e 's/00000165/FlushContext/' \
        -e 's/00000169/NV_ReadPublic/' -e 's/0000014e/NV_Read/' -e 's/0000017a/GetCapability/' "$work/commands" |
        tr '\n' ' ' | sed 's/ $//'
}
count() { # WHAT WANTED COMMAND...
    what=$1 wanted=$2
    shift 2
    : >"$work/commands"
    "$@" >"$work/out" 2>&1 || sed 's/^/# /' "$work/out"
    check_equal "$what" "$wanted" "$(names)"
}
sign_stream() {
    head -c 3000000 /dev/zero | ssl dgst -sha256 -sign tpm2cloud:ldevid
}
count "the counter counts" "GetCapability" stock tpm2_getcap -T "$TPM2CLOUD_TCTI" properties-fixed
count "loading the provider" "" ssl list -providers
count "loading the provider by configuration" "" conf_ssl version
count "hashing with the provider there" "" conf_ssl dgst -sha256 "$work/ldevid.crt"
commands() { # TITLE LDEVID RSA-OPERATION: what the commands of a cold process are
    count "$1: openssl req -new" "$2$3" ssl req -new -key tpm2cloud:ldevid -subj /CN=x
    count "$1: tpm2cloud csr" "$2$3" "$T2C" csr ldevid --subject /CN=x
    count "$1: openssl req -new with a wrapped key" "$2$3" conf_ssl req -new -key "$work/ldevid.key" -subj /CN=x
    count "$1: 3 MB streamed through dgst -sign" "$2$3" sign_stream
    count "$1: the public key alone" "${2% }" ssl pkey -in tpm2cloud:ldevid -pubout
}
commands "EC, recorded" "" Sign
count "a key file" "Load RSA_Decrypt FlushContext" ssl req -new -key tpm2cloud:rsa -subj /CN=x
count "a key file as such" "Load RSA_Decrypt FlushContext" ssl req -new -key "$work/keys/rsa.pem" -subj /CN=x
mv "$work/keys/81000001.record" "$work/keys/81000002.record" "$work"
commands "EC, not recorded" "ReadPublic " Sign
count "a key file, nothing recorded" "ReadPublic Load RSA_Decrypt FlushContext" ssl req -new -key tpm2cloud:rsa -subj /CN=x
mv "$work/81000001.record" "$work/81000002.record" "$work/keys"
count "the certificate alone asks nothing" "" ssl x509 -in tpm2cloud:ldevid -noout
count "an unknown name asks nothing" "" ssl pkey -in tpm2cloud:nope 2>/dev/null
count "the public key of a key file asks nothing" "" ssl pkey -in tpm2cloud:rsa -pubout

handshakes() { # NAME
    with_conf "$BUILD/handshakes" "tpm2cloud:$1" \
        "$work/$1.crt" "$work/pki/root.pem" >"$work/handshakes" 2>"$work/err" || sed 's/^/# /' "$work/err"
    for side in client server; do
        for version in tls1.2 tls1.3; do
            check_equal "$1: 10 handshakes, $side, $version" "$side-$version 10" \
                "$(grep "^$side-$version " "$work/handshakes")"
        done
    done
}
handshakes ldevid
handshakes rsa
count "a key file that is opened twice is loaded once" "Load RSA_Decrypt RSA_Decrypt RSA_Decrypt FlushContext" \
    with_conf "$BUILD/objects" one-of-two-freed tpm2cloud://rsa "$work/rsa.crt"

# An RSA key at the handle.
TPM2CLOUD_TCTI=$TPM2TOOLS_TCTI
tpm2_evictcontrol -Q -C o -c 0x81000002
rm "$work/keys/81000002.record"
"$T2C" key create ldevid --alg rsa-2048 >/dev/null
"$T2C" key pem ldevid --out "$work/ldevid.key"
TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
commands "RSA, recorded" "" RSA_Decrypt
rm "$work/keys/81000002.record"
commands "RSA, not recorded" "ReadPublic " RSA_Decrypt
export TPM2CLOUD_TCTI="$TPM2TOOLS_TCTI"
tpm_clean "after all that"
finish
