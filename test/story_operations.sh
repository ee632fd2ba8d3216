#!/bin/sh
# Everything that OpenSSL asks of a private key, done by the TPM and checked by openssl with the public key alone: signatures
# of all kinds, decryption, key agreement, and keys that openssl makes and writes as files.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
head -c 5000 /dev/urandom >"$work/data"
head -c 40 /dev/urandom >"$work/secret"
openssl dgst -sha256 -binary "$work/data" >"$work/digest"

alone() { # VERB ARGUMENTS...: with our provider and no other
    verb=$1
    shift
    stock openssl "$verb" -provider tpm2cloud "$@"
}
generate() { # ALGORITHM OPTIONS...
    algorithm=$1
    shift
    ssl genpkey -propquery provider=tpm2cloud -algorithm "$algorithm" "$@"
}

# ---- keys: made by openssl, by our command line, and by others

public() { # NAME [URI]
    check "$1: public key" ssl pkey -in "${2:-tpm2cloud:$1}" -pubout -out "$work/$1.pub"
}
check "genpkey: EC by name" generate EC -pkeyopt group:P-256 -pkeyopt tpm2cloud-name:ec -out "$work/ec.pem"
check "genpkey: OpenSSL's other name of the curve" generate EC -pkeyopt ec_paramgen_curve:secp384r1 \
    -pkeyopt ec_param_enc:named_curve -pkeyopt tpm2cloud-name:ec384
check "genpkey: EC that agrees on secrets" generate EC -pkeyopt group:prime256v1 -pkeyopt tpm2cloud-decrypt:1 \
    -pkeyopt tpm2cloud-name:agree
check "genpkey: RSA into a file" generate RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt "tpm2cloud-file:$work/keys/rsa.pem"
check "genpkey: RSA-PSS" generate RSA-PSS -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt tpm2cloud-name:pss
check "genpkey: an identity" generate EC -pkeyopt tpm2cloud-name:ldevid
check "a restricted key" "$T2C" key create iak
for name in ec ec384 agree rsa pss ldevid iak; do
    public $name
done
check "genpkey printed the key that it made" sh -c \
    "cmp '$work/ec.pem' '$work/keys/ec.pem' && openssl pkey -pubin -in '$work/ec.pub' -noout"
check "and the identity is where it belongs" sh -c "'$T2C' key show ldevid | grep -q 0x81000002"
if tpm2_getcap ecc-curves | grep -q P521; then
    check "genpkey: P-521" generate EC -pkeyopt group:P-521 -pkeyopt tpm2cloud-name:ec521
    public ec521
    ec521=ec521
else
    ec521=
    skip "P-521" "this TPM does not know the curve"
fi

# What tpm2-tools make: a key that only agrees on secrets, and keys with a scheme of their own.
tpm2_key() { # NAME ALGORITHM ATTRIBUTES HANDLE
    tpm2_create -Q -C 0x81000001 -G "$2" -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|$3" -u "$work/$1.u" \
        -r "$work/$1.r" && tpm2_load -Q -C 0x81000001 -u "$work/$1.u" -r "$work/$1.r" -c "$work/$1.ctx" &&
        tpm2_evictcontrol -Q -C o -c "$work/$1.ctx" "$4" && tpm2_flushcontext -t
}
check "tpm2_create: ECDH" tpm2_key t-ecdh ecc256:null decrypt 0x81010010
check "tpm2_create: RSASSA with SHA256" tpm2_key t-rsassa rsa2048:rsassa-sha256 sign 0x81010011
check "tpm2_create: ECDSA with SHA384" tpm2_key t-ecdsa ecc384:ecdsa-sha384 sign 0x81010012
check "tpm2_create: RSA for decryption" tpm2_key t-rsa rsa2048:null decrypt 0x81010013
check "tpm2_create: RSAPSS, restricted" tpm2_key t-pss rsa2048:rsapss-sha256:null "sign|restricted" 0x81010014
public t-ecdh 'tpm2cloud:;handle=0x81010010'
public t-rsassa 'tpm2cloud:;handle=0x81010011'
public t-ecdsa 'tpm2cloud:;handle=0x81010012'
public t-rsa 'tpm2cloud:;handle=0x81010013'
public t-pss 'tpm2cloud:;handle=0x81010014'

# ---- signatures

sign() { # KEY PUBLIC DIGEST OPTIONS...: streamed by dgst
    key=$1 public=$2 digest=$3
    shift 3
    ssl dgst "-$digest" -sign "$key" "$@" -out "$work/sig" "$work/data" &&
        openssl dgst "-$digest" -verify "$work/$public.pub" "$@" -signature "$work/sig" "$work/data"
}
for digest in sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-256 sha3-512 md5; do
    for name in ec ec384 $ec521 rsa; do
        check "$name: dgst -$digest" sign "tpm2cloud:$name" "$name" $digest
    done
done
check "rsa: dgst -md5-sha1, as TLS 1.1 signs" sign tpm2cloud:rsa rsa md5-sha1
for salt in 0 20 32 digest auto max; do
    for digest in sha1 sha256 sha512 sha3-256; do
        check "rsa: PSS with $digest, salt $salt" sign tpm2cloud:rsa rsa $digest -sigopt rsa_padding_mode:pss \
            -sigopt rsa_pss_saltlen:$salt
    done
done
check "rsa: PSS, another digest for MGF1" sign tpm2cloud:rsa rsa sha256 -sigopt rsa_padding_mode:pss \
    -sigopt rsa_mgf1_md:sha512
check "pss: the digest of the key" sign tpm2cloud:pss pss sha256
check_fails "rsa: PSS with a salt of 2^32 + 20 bytes" "is too long; 222 fit" sign tpm2cloud:rsa rsa sha256 \
    -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:4294967316
check "pss: its salt, named" sign tpm2cloud:pss pss sha256 -sigopt rsa_pss_saltlen:32
check "t-rsassa: the digest of the key" sign 'tpm2cloud:;handle=0x81010011' t-rsassa sha256
check "t-ecdsa: the digest of the key" sign 'tpm2cloud:;handle=0x81010012' t-ecdsa sha384
check "iak: 5000 bytes that the TPM hashes" sign tpm2cloud:iak iak sha256
check "t-pss: the same with PSS" sign 'tpm2cloud:;handle=0x81010014' t-pss sha256
: >"$work/empty"
nothing() { # NAME
    ssl dgst -sha256 -sign "tpm2cloud:$1" -out "$work/sig" "$work/empty" &&
        openssl dgst -sha256 -verify "$work/$1.pub" -signature "$work/sig" "$work/empty"
}
check "ec: nothing at all" nothing ec
check "iak: nothing at all" nothing iak

pkeyutl() { # KEY PUBLIC FILE OPTIONS...
    key=$1 public=$2 file=$3
    shift 3
    ssl pkeyutl -sign -inkey "$key" -in "$file" "$@" -out "$work/sig" &&
        openssl pkeyutl -verify -pubin -inkey "$work/$public.pub" -in "$file" "$@" -sigfile "$work/sig"
}
check "ec: pkeyutl of a digest without its name" pkeyutl tpm2cloud:ec ec "$work/digest"
check "ec: pkeyutl of a named digest" pkeyutl tpm2cloud:ec ec "$work/digest" -pkeyopt digest:sha256
check "ec: pkeyutl of data" pkeyutl tpm2cloud:ec ec "$work/data" -rawin -digest sha256
check "iak: pkeyutl of data" pkeyutl tpm2cloud:iak iak "$work/data" -rawin -digest sha256
check "rsa: pkeyutl of a digest" pkeyutl tpm2cloud:rsa rsa "$work/digest" -pkeyopt digest:sha256
check "rsa: pkeyutl of a digest with PSS" pkeyutl tpm2cloud:rsa rsa "$work/digest" -pkeyopt digest:sha256 \
    -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:max
check "rsa: pkeyutl of data" pkeyutl tpm2cloud:rsa rsa "$work/data" -rawin -digest sha512
check "rsa: PKCS#1 of whatever it is" pkeyutl tpm2cloud:rsa rsa "$work/secret"
{
    printf '\000'
    head -c 255 /dev/urandom
} >"$work/block"

request() { # SSL KEY OPTIONS...
    with=$1 key=$2
    shift 2
    $with req -new -key "$key" -subj /CN=x "$@" -out "$work/x.csr" && openssl req -in "$work/x.csr" -noout -verify
}
algorithm() { # of the request
    openssl req -in "$work/x.csr" -noout -text | sed -n 's/^ *Signature Algorithm: //p; s/^ *Salt Length: //p' | paste -sd' '
}
for name in ec ec384 rsa pss ldevid iak; do
    check "$name: request" request ssl tpm2cloud:$name
done
check "t-pss: request by a restricted key of tpm2-tools" request ssl 'tpm2cloud:;handle=0x81010014'
check_equal "and its algorithm" "rsassaPss 0x20" "$(algorithm)"
check "ec: request with SHA3-256" ssl req -new -key tpm2cloud:ec -subj /CN=x -sha3-256 -out "$work/x.csr"
check_equal "and its algorithm" "ecdsa_with_SHA3-256" "$(algorithm | cut -d' ' -f1)"
check "rsa: request with SHA3-512" request ssl tpm2cloud:rsa -sha3-512
check_equal "and its algorithm" "RSA-SHA3-512" "$(algorithm)"
check "rsa: request with PSS and SHA1" request ssl tpm2cloud:rsa -sha1 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20
check_equal "and its algorithm" "rsassaPss 0x14 (default)" "$(algorithm)"
check "rsa: request with PSS and the longest salt" request ssl tpm2cloud:rsa -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:max
check_equal "and the salt that it tells" "rsassaPss 0xDE" "$(algorithm)"
check_equal "a PSS key's restrictions are in the certificate" "Hash Algorithm: SHA2-256 Minimum Salt Length: 32" \
    "$(openssl pkey -pubin -in "$work/pss.pub" -noout -text | sed -n 's/^ *\(Hash Algorithm.*\)/\1/p; s/^ *\(Minimum Salt.*\)/\1/p' |
        sed 's/: sha256/: SHA2-256/; s/ (.*)//; s/0x20/32/' | paste -sd' ')"

cms_sign() { # NAME OPTIONS...
    name=$1
    shift
    ssl req -x509 -new -key "tpm2cloud:$name" -subj "/CN=$name" -out "$work/$name.crt" &&
        ssl cms -sign -in "$work/data" -binary -signer "$work/$name.crt" -inkey "tpm2cloud:$name" "$@" -out "$work/cms" &&
        openssl cms -verify -binary -in "$work/cms" -CAfile "$work/$name.crt" -purpose any -out /dev/null
}
for name in ec rsa iak; do
    check "$name: cms -sign" cms_sign $name
done
check "rsa: cms -sign with PSS, salt left to the signer" cms_sign rsa -keyopt rsa_padding_mode:pss
check "rsa: cms -sign with PSS, salt of 20 bytes" cms_sign rsa -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20

# ---- decryption

decrypt() { # KEY PUBLIC FILE OPTIONS...
    key=$1 public=$2 file=$3
    shift 3
    openssl pkeyutl -encrypt -pubin -inkey "$work/$public.pub" "$@" -in "$file" -out "$work/encrypted" &&
        ssl pkeyutl -decrypt -inkey "$key" "$@" -in "$work/encrypted" -out "$work/decrypted" &&
        cmp "$work/decrypted" "$file"
}
for name in rsa t-rsa; do
    [ $name = rsa ] && key=tpm2cloud:rsa || key='tpm2cloud:;handle=0x81010013'
    check "$name: PKCS#1" decrypt "$key" $name "$work/secret"
    check "$name: OAEP" decrypt "$key" $name "$work/secret" -pkeyopt rsa_padding_mode:oaep
    check "$name: OAEP with SHA256, SHA1 for MGF1, and a label" decrypt "$key" $name "$work/secret" \
        -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha1 -pkeyopt rsa_oaep_label:616263
    check "$name: no padding" decrypt "$key" $name "$work/block" -pkeyopt rsa_padding_mode:none
done
head -c 256 /dev/zero | tr '\0' '\377' >"$work/larger"
check_fails "rsa: a block that is larger than the modulus" "the block is larger than the modulus" \
    ssl pkeyutl -decrypt -inkey tpm2cloud:rsa -pkeyopt rsa_padding_mode:none -in "$work/larger" -out "$work/decrypted"
check "rsa: nothing at all" decrypt tpm2cloud:rsa rsa "$work/empty" -pkeyopt rsa_padding_mode:oaep
envelope() { # NAME OPTIONS OF THE SENDER...
    name=$1
    shift
    openssl cms -encrypt -in "$work/data" -binary -aes128 -recip "$work/$name.crt" "$@" -out "$work/cms" &&
        ssl cms -decrypt -in "$work/cms" -recip "$work/$name.crt" -inkey "tpm2cloud:$name" -out "$work/decrypted" &&
        cmp "$work/decrypted" "$work/data"
}
check "rsa: cms -decrypt" envelope rsa
check "rsa: cms -decrypt with OAEP" envelope rsa -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256

# ---- key agreement

agree() { # KEY PUBLIC PEER OPTIONS...
    key=$1 public=$2 peer=$3
    shift 3
    ssl pkeyutl -derive -inkey "$key" -peerkey "$work/$peer.pub" "$@" -out "$work/ours" &&
        openssl pkeyutl -derive -inkey "$work/$peer.pem" -peerkey "$work/$public.pub" "$@" -out "$work/theirs" &&
        cmp "$work/ours" "$work/theirs"
}
for curve in P-256 P-384; do
    openssl genpkey -algorithm EC -pkeyopt group:$curve -out "$work/peer-$curve.pem"
    openssl pkey -in "$work/peer-$curve.pem" -pubout -out "$work/peer-$curve.pub"
done
openssl ec -in "$work/peer-P-256.pem" -conv_form compressed -out "$work/short.pem" 2>/dev/null
openssl ec -in "$work/short.pem" -conv_form compressed -pubout -out "$work/short.pub" 2>/dev/null
check "agree: the secret itself" agree tpm2cloud:agree agree peer-P-256
check "agree: a peer with a compressed point" agree tpm2cloud:agree agree short
check "agree: derived by X9.63" agree tpm2cloud:agree agree peer-P-256 -pkeyopt kdf-type:X963KDF -pkeyopt kdf-digest:SHA384 \
    -pkeyopt kdf-outlen:100 -pkeyopt hexkdf-ukm:010203
check "agree: with cofactor mode" agree tpm2cloud:agree agree peer-P-256 -pkeyopt ecdh_cofactor_mode:1
check "t-ecdh: a key of tpm2-tools" agree 'tpm2cloud:;handle=0x81010010' t-ecdh peer-P-256
both_in_tpm() {
    ssl pkeyutl -derive -inkey tpm2cloud:agree -peerkey "$work/t-ecdh.pub" -out "$work/ours" &&
        ssl pkeyutl -derive -inkey 'tpm2cloud:;handle=0x81010010' -peerkey "$work/agree.pub" -out "$work/theirs" &&
        cmp "$work/ours" "$work/theirs"
}
check "agree and t-ecdh: both in a TPM" both_in_tpm
ssl req -x509 -new -key tpm2cloud:agree -subj /CN=agree -out "$work/agree.crt"
check "agree: cms -decrypt" envelope agree
check "agree: cms -decrypt with SHA256 in the derivation" envelope agree -keyopt ecdh_kdf_md:sha256

# ---- keys as files

for name in ec rsa pss ldevid; do
    label="TSS2 PRIVATE KEY"
    [ $name != ldevid ] || label="TPM2CLOUD KEY URI"
    check "$name: written as PEM" ssl pkey -in tpm2cloud:$name -out "$work/$name-out.pem"
    check_equal "$name: what it says it is" "-----BEGIN $label-----" "$(head -n 1 "$work/$name-out.pem")"
    check "$name: written as DER" ssl pkey -in tpm2cloud:$name -outform DER -out "$work/$name-out.der"
    for form in pem der; do
        check "$name: signs from $form" sign "$work/$name-out.$form" $name sha256
        check "$name: and $form from $form" sh -c "cp '$work/$name-out.$form' '$work/in.$form'"
        check "$name: $form is the same when it is written again" ssl pkey -in "$work/in.$form" -outform $form \
            -out "$work/again.$form"
        check "$name: byte for byte" cmp "$work/again.$form" "$work/$name-out.$form"
    done
done
check_equal "text says that the private key is in the TPM" 1 \
    "$(ssl pkey -in tpm2cloud:ldevid -noout -text | grep -c '^Private-Key: in a TPM 2.0, ldevid (.*|sign)$')"
check "and the rest is what openssl says of the public key" sh -c "'$T2C' key show ldevid >/dev/null
    openssl pkey -pubin -in '$work/ldevid.pub' -noout -text_pub >'$work/theirs'"
ssl pkey -in tpm2cloud:ldevid -noout -text_pub >"$work/ours"
check "byte for byte" cmp "$work/ours" "$work/theirs"
check "EC has its own command" ssl ec -in tpm2cloud:ec -pubout -out "$work/ours"
check "which writes the same" cmp "$work/ours" "$work/ec.pub"
check "and RSA" ssl rsa -in tpm2cloud:rsa -RSAPublicKey_out -out "$work/ours"

# ---- a key with an authorization value, which openssl asks for

printf open-sesame >"$work/auth"
check "a key with an authorization value" "$T2C" key create safe --auth "file:$work/auth"
public_of_safe() { # whoever wants what is public is not asked
    stock setsid openssl storeutl -provider default -provider tpm2cloud -out "$work/safe.pub" "$@" </dev/null
}
check "its public key" public_of_safe -noout 'tpm2cloud:safe;type=public'
for key in tpm2cloud:safe "$work/keys/safe.pem"; do
    short=${key#"$work/"}
    check "$short: the passphrase opens it" ssl pkey -in "$key" -passin pass:open-sesame -pubout -out "$work/safe.pub"
    check "$short: and it signs" ssl dgst -sha256 -sign "$key" -passin pass:open-sesame -out "$work/sig" "$work/data"
    check "$short: which openssl verifies" openssl dgst -sha256 -verify "$work/safe.pub" -signature "$work/sig" "$work/data"
    check_fails "$short: another passphrase does not" "the authorization value is wrong" ssl dgst -sha256 -sign "$key" -passin pass:sesame -out "$work/sig" \
        "$work/data"
done
check "the URI names where it is" ssl dgst -sha256 -sign "tpm2cloud:safe?auth-source=file:$work/auth" -out "$work/sig" "$work/data"
check "and openssl verifies that" openssl dgst -sha256 -verify "$work/safe.pub" -signature "$work/sig" "$work/data"
check_fails "a source that is not there" "$work/nothing" ssl dgst -sha256 \
    -sign "tpm2cloud:safe?auth-source=file:$work/nothing" -out "$work/sig" "$work/data"

# ---- by itself: no default provider in the process

check "alone: request, EC" request alone tpm2cloud:ldevid
check "alone: request, RSA" request alone tpm2cloud:rsa
check "alone: request, RSA-PSS" request alone tpm2cloud:pss
check "alone: request, restricted" request alone tpm2cloud:iak
check "alone: storeutl" alone storeutl tpm2cloud:rsa
check "alone: list" alone storeutl -noout tpm2cloud:
check "alone: pkey -pubout" alone pkey -in tpm2cloud:rsa -pubout -out "$work/ours"
check "writes the same" cmp "$work/ours" "$work/rsa.pub"
alone_sign() { # NAME
    alone dgst -sha256 -sign "tpm2cloud:$1" -out "$work/sig" "$work/data" &&
        openssl dgst -sha256 -verify "$work/$1.pub" -signature "$work/sig" "$work/data"
}
check "alone: dgst -sign, EC" alone_sign ldevid
check "alone: dgst -sign, RSA" alone_sign rsa

# ---- as a program does it

"$ESTCA" init "$work/pki" >/dev/null
for name in ec rsa iak agree ldevid safe; do
    ssl req -new -key "tpm2cloud:$name" -passin pass:open-sesame -subj "/CN=$name" -out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.pki.crt"
done
"$T2C" cert import safe "$work/safe.pki.crt" >/dev/null
operations() { # TEST NAME
    with_conf "$BUILD/operations" "$1" "tpm2cloud://$2" "$work/$2.pki.crt"
}
for name in ec rsa iak ldevid; do
    for test in der-read-back pem-read-back sizes foreign-keys-pass-by ours-first; do
        check "$name: $test" operations $test $name
    done
done
for test in whole-block decrypts; do
    check "rsa: $test" operations $test rsa
done
thread_outlives() { # no other context with our provider may be there
    stock "$BUILD/operations" thread-outlives-the-provider tpm2cloud://rsa "$work/rsa.pki.crt"
}
check "rsa: thread-outlives-the-provider" thread_outlives
for test in agrees agreement-copied public-keys-stay-out threads-agree; do
    check "agree: $test" operations $test agree
done
check "safe: asks-only-for-the-private-half" operations asks-only-for-the-private-half safe

# TLS 1.2 and 1.3, client and server; libssl finds the signature that the key can make.
certify_handle() { # NAME HANDLE
    ssl req -new -key "tpm2cloud:;handle=$2" -subj "/CN=$1" -out "$work/$1.csr" &&
        "$ESTCA" sign "$work/pki" --csr "$work/$1.csr" --out "$work/$1.pki.crt"
}
handshakes() { # NAME URI
    with_conf env T2C_TCTI_LOG="$work/commands" "$BUILD/handshakes" "$2" "$work/$1.pki.crt" "$work/pki/root.pem"
}
for name in iak agree; do
    check "$name: TLS" handshakes $name tpm2cloud:$name
done
certify_handle t-ecdsa 0x81010012
check "t-ecdsa: TLS with a fixed digest" handshakes t-ecdsa 'tpm2cloud:;handle=0x81010012'
certify_handle t-pss 0x81010014
check "t-pss: TLS with a restricted RSA-PSS key" handshakes t-pss 'tpm2cloud:;handle=0x81010014'

# ---- what they should not do

check_fails "genpkey without a name" "TPM keys are generated by name only: give -pkeyopt tpm2cloud-name:NAME" generate EC
check_fails "and what to do" "default_properties = ?provider=default" generate RSA
check_fails "a name that exists" "the key ec exists already; use it as tpm2cloud:ec" generate EC -pkeyopt tpm2cloud-name:ec
check_fails "a file that exists" "$work/keys/ec.pem is there already" generate EC -pkeyopt "tpm2cloud-file:$work/keys/ec.pem"
check_fails "a name and a file" "give tpm2cloud-name or tpm2cloud-file, not both" generate EC -pkeyopt tpm2cloud-name:x \
    -pkeyopt "tpm2cloud-file:$work/x"
check_fails "a name that could leave the directory" '"../x" is not a name' generate EC -pkeyopt tpm2cloud-name:../x
check_fails "a curve that TPMs lack" "TPM keys are on P-256, P-384 or P-521, not on secp256k1" generate EC \
    -pkeyopt group:secp256k1 -pkeyopt tpm2cloud-name:x
check_fails "a size that TPMs lack" "RSA keys in a TPM have 2048 or 3072 bits, in a few 4096" generate RSA -pkeyopt bits:1024 \
    -pkeyopt tpm2cloud-name:x
check_fails "another exponent" "RSA keys in a TPM have the exponent 65537" generate RSA -pkeyopt rsa_keygen_pubexp:3 \
    -pkeyopt tpm2cloud-name:x
check_fails "a PSS key with two digests" "a TPM's RSA-PSS key has one digest, for MGF1 too: SHA256" generate RSA-PSS \
    -pkeyopt rsa_pss_keygen_mgf1_md:sha512 -pkeyopt tpm2cloud-name:x
check_equal "nothing was made" "" "$(ls "$work/keys/x.pem" "$work/x" 2>/dev/null)"
check_fails "a fixed digest: another one" "the key signs no other digests than SHA256" sign 'tpm2cloud:;handle=0x81010011' \
    t-rsassa sha384
check_fails "a PSS key: another padding" "the key makes PSS signatures only" sign tpm2cloud:pss pss sha256 \
    -sigopt rsa_padding_mode:pkcs1
check_fails "a restricted key: a digest" "restricted, it signs only data that the TPM hashes itself" pkeyutl tpm2cloud:iak iak \
    "$work/digest" -pkeyopt digest:sha256
head -c 17000000 /dev/zero >"$work/large"
check_fails "a restricted key: too much data" "that is too slow for more than 16 MiB" ssl dgst -sha256 -sign tpm2cloud:iak \
    -out "$work/sig" "$work/large"
check_fails "a salt that does not fit" "a PSS salt of 223 bytes is too long; 222 fit" sign tpm2cloud:rsa rsa sha256 \
    -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:223
check_fails "PSS without a digest" "name the digest to sign" ssl pkeyutl -sign -inkey tpm2cloud:rsa -in "$work/digest" \
    -pkeyopt rsa_padding_mode:pss -out "$work/sig"
check_fails "a digest that is none" "shake256 is no digest that can be signed" ssl dgst -shake256 -sign tpm2cloud:ec \
    -out "$work/sig" "$work/data"
check_fails "a block that is none" "without padding the data must have the modulus' size, 256 bytes" ssl pkeyutl -sign \
    -inkey tpm2cloud:rsa -in "$work/digest" -pkeyopt rsa_padding_mode:none -out "$work/sig"
check_fails "a padding that TPMs lack" "a TPM key signs with PKCS#1 or PSS padding, or none" ssl pkeyutl -sign \
    -inkey tpm2cloud:rsa -in "$work/digest" -pkeyopt rsa_padding_mode:x931 -out "$work/sig"
check_fails "a signature by a key that decrypts" "is no key that signs" ssl dgst -sha256 -sign 'tpm2cloud:;handle=0x81010013' \
    -out "$work/sig" "$work/data"
check_fails "decryption by a key that signs" "the key does not decrypt: it was made without that right" ssl pkeyutl -decrypt \
    -inkey 'tpm2cloud:;handle=0x81010011' -in "$work/block" -out "$work/decrypted"
check_fails "what was never encrypted" "" ssl pkeyutl -decrypt -inkey tpm2cloud:rsa -in "$work/block" -out "$work/decrypted"
check_fails "agreement by a key that signs" "ldevid: the key agrees on no secrets" ssl pkeyutl -derive -inkey tpm2cloud:ldevid \
    -peerkey "$work/peer-P-256.pub" -out "$work/ours"
check_fails "a peer of another curve" "" ssl pkeyutl -derive -inkey tpm2cloud:agree -peerkey "$work/peer-P-384.pub" \
    -out "$work/ours"
check_fails "another derivation" "ECDH knows the KDF X963KDF, and none" ssl pkeyutl -derive -inkey tpm2cloud:agree \
    -peerkey "$work/peer-P-256.pub" -pkeyopt kdf-type:HKDF -out "$work/ours"
check_fails "an encrypted file" "the file of a TPM key holds no secret and is not encrypted; write it without AES-256-CBC" \
    ssl pkey -in tpm2cloud:ec -aes256 -passout pass:x -out "$work/aes.pem"
check_fails "the private numbers" "" ssl pkcs12 -export -inkey "$work/ec.pem" -in "$work/ec.crt" -passout pass:x -out "$work/p12"
sed '2s/^..../AAAA/' "$work/ec.pem" >"$work/damaged.pem"
check_fails "a damaged key file" "" ssl pkey -in "$work/damaged.pem" -pubout

# ---- what it costs

if [ -z "$PRELOAD" ]; then
    export T2C_TCTI_LOG="$work/commands"
    "$T2C" key pem ldevid --out "$work/ldevid.key"
    rm "$work"/keys/*.record
    commands() { # COMMAND...: how many it sends
        : >"$work/commands"
        env TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" "$@" >"$work/out" 2>&1 || sed 's/^/# /' "$work/out"
        wc -l <"$work/commands"
    }
    provided="-provider default -provider tpm2cloud"
    # shellcheck disable=SC2086
    check_equal "a wrapped key without record is read once, whatever its type" 1 \
        "$(commands openssl pkey $provided -in "$work/ldevid.key" -pubout)"
    # shellcheck disable=SC2086
    check_equal "a key file not at all" 0 "$(commands openssl pkey $provided -in "$work/ec.pem" -pubout)"
    # shellcheck disable=SC2086
    check_equal "nor a software key, which passes by our decoders" 0 \
        "$(commands openssl pkey $provided -in "$work/peer-P-256.pem" -pubout)"
fi
tpm_clean "after all that"
finish
