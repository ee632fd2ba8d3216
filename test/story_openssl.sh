#!/bin/sh
# An application developer uses TPM keys with the openssl command, by option and by configuration; plain openssl verifies.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
echo "some data" >"$work/data"
openssl dgst -sha256 -binary "$work/data" >"$work/digest"

make_key() { # NAME ALGORITHM
    check "$1: key" "$T2C" key create "$1" --alg "$2"
    "$T2C" csr "$1" --subject "/CN=$1" --san DNS:localhost --out "$work/$1.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$1.csr" --out "$work/$1.crt"
    check "$1: certificate" "$T2C" cert import "$1" "$work/$1.crt"
    check "$1: wrapped key file" "$T2C" key pem "$1" --out "$work/$1.key"
    openssl x509 -in "$work/$1.crt" -noout -pubkey >"$work/$1.pub"
}
make_key ldevid ec-p256
make_key rsa rsa-2048

# each COMMAND...: by provider options and by configuration. $ossl is what runs openssl.
both() { # WHAT FUNCTION ARGUMENTS...
    what=$1
    shift
    ossl=ssl
    check "$what, -provider" "$@"
    ossl=conf_ssl
    check "$what, OPENSSL_CONF" "$@"
}
sign_and_verify() { # KEY NAME DIGEST
    $ossl dgst "-$3" -sign "$1" -out "$work/sig" "$work/data" &&
        openssl dgst "-$3" -verify "$work/$2.pub" -signature "$work/sig" "$work/data"
}
request() { # KEY
    $ossl req -new -key "$1" -subj /CN=x -out "$work/x.csr" && openssl req -in "$work/x.csr" -noout -verify
}
self_signed() { # KEY
    $ossl req -x509 -new -key "$1" -subj /CN=x -out "$work/x.pem" && openssl verify -CAfile "$work/x.pem" "$work/x.pem"
}
issue() { # KEY
    $ossl req -x509 -new -key "$1" -subj /CN=ca -out "$work/ca.pem" &&
        $ossl x509 -req -in "$work/ldevid.csr" -CA "$work/ca.pem" -CAkey "$1" -out "$work/y.pem" &&
        openssl verify -CAfile "$work/ca.pem" "$work/y.pem"
}
pkeyutl() { # KEY NAME
    $ossl pkeyutl -sign -inkey "$1" -pkeyopt digest:sha256 -in "$work/digest" -out "$work/sig" &&
        openssl pkeyutl -verify -pubin -inkey "$work/$2.pub" -pkeyopt digest:sha256 -in "$work/digest" -sigfile "$work/sig"
}
cms() { # KEY NAME
    $ossl cms -sign -in "$work/data" -signer "tpm2cloud:$2" -inkey "$1" -certfile "$work/pki/ca.pem" -out "$work/cms" &&
        openssl cms -verify -in "$work/cms" -CAfile "$work/pki/root.pem" -purpose any -out /dev/null
}
pubout() { # KEY NAME
    $ossl pkey -in "$1" -pubout | cmp - "$work/$2.pub"
}
list_key() { # URI
    [ "$($ossl storeutl -noout "$1" | grep -c -e Pkey -e Certificate)" -eq 3 ]
}
certificate() { # NAME
    $ossl x509 -in "tpm2cloud:$1" -noout -subject | grep -q "CN *= *$1"
}
list_all() {
    $ossl storeutl -noout tpm2cloud: >"$work/names" && grep -q 'Name: tpm2cloud:ldevid' "$work/names" &&
        grep -q 'Name: tpm2cloud:rsa' "$work/names"
}
for name in ldevid rsa; do
    for key in "tpm2cloud:$name" "$work/$name.key"; do
        short=${key#"$work/"}
        for digest in sha256 sha384 sha512 sha1; do
            both "$short: dgst -$digest" sign_and_verify "$key" $name $digest
        done
        both "$short: req -new" request "$key"
        both "$short: req -x509" self_signed "$key"
        both "$short: x509 -req -CAkey" issue "$key"
        both "$short: pkeyutl -sign" pkeyutl "$key" $name
        both "$short: cms -sign" cms "$key" $name
        both "$short: pkey -pubout" pubout "$key" $name
    done
    both "$name: storeutl lists key, certificate and its issuer" list_key "tpm2cloud:$name"
    both "$name: x509 -in URI" certificate $name
done
both "storeutl tpm2cloud: enumerates" list_all
ossl=ssl
check "tpm2cloud://NAME is the same" pubout tpm2cloud://ldevid ldevid

pss() { # SALT OPTION FOR SIGNING AND FOR VERIFYING
    ssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt "rsa_pss_saltlen:$1" -sign tpm2cloud:rsa -out "$work/sig" "$work/data" &&
        openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt "rsa_pss_saltlen:$1" -verify "$work/rsa.pub" \
            -signature "$work/sig" "$work/data"
}
check "rsa: PSS, salt as long as the digest" pss digest
check "rsa: PSS, salt of 32 bytes" pss 32
check "rsa: PSS, salt left to the signer" pss auto
check "rsa: a request signed with PSS" ssl req -new -key tpm2cloud:rsa -subj /CN=x -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:digest -out "$work/x.csr"
check "rsa: openssl verifies it" openssl req -in "$work/x.csr" -noout -verify

# Large data is hashed on the host.
head -c 3000000 /dev/urandom >"$work/data"
ossl=ssl
check "3 MB of data" sign_and_verify tpm2cloud:ldevid ldevid sha256

# It offers what it must and nothing else: whatever is public stays with the default provider.
offers() { # KIND
    openssl list -provider tpm2cloud -provider default "-$1" 2>"$work/list.err" | grep -c '@ tpm2cloud'
}
if [ -z "$PRELOAD" ]; then
    for kind in digest-algorithms cipher-algorithms mac-algorithms kdf-algorithms random-generators; do
        check_equal "it offers no $kind" 0 "$(offers $kind)"
    done
    check_equal "it offers three key managers" 3 "$(offers key-managers)"
fi

# What they should not do.
check_fails "an unknown name" "there is no key nope (no $work/keys/nope.pem); create it with: tpm2cloud key create nope" \
    ssl pkey -in tpm2cloud:nope -pubout
check_fails "a malformed URI" 'unknown URI attribute "handel"' ssl pkey -in 'tpm2cloud:ldevid;handel=1' -pubout
check_fails "an empty handle" "no object at handle 0x81000077" ssl pkey -in 'tpm2cloud:;handle=0x81000077' -pubout
sed 's/^MCQa/MCUa/' "$work/ldevid.key" >"$work/damaged.key"
check_fails "a damaged wrapper" "Could not" ssl pkey -in "$work/damaged.key" -pubout
export TPM2CLOUD_TCTI="swtpm:path=$work/nothing"
check_fails "no TPM" "no TPM at swtpm:path=$work/nothing: tcti:IO failure; set tcti = in" ssl dgst -sha256 \
    -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
check_fails "no TPM when listing" "no TPM at" ssl storeutl -noout tpm2cloud:
check_equal "without a TPM, a program that only loads the provider works" "" "$(conf_ssl version 2>&1 >/dev/null)"
check "and hashes" conf_ssl dgst -sha256 "$work/data"
export TPM2CLOUD_TCTI="$TPM2TOOLS_TCTI"
tpm_clean "after all that"
finish
