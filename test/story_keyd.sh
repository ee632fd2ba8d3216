#!/bin/sh
# libaziot_keys behind keyd's API, asked by curl and checked by openssl and tpm2-tools: what keyd needs to load it, every call,
# what a call costs the TPM, what outlives a restart, and keys of the TPM that keyd may use and not change.
# shellcheck disable=SC1091,SC2016,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/keyd.sh"
need swtpm readelf strace tpm2_load tpm2_readpublic
tpm_start
keyd_conf
"$T2C" key create srk >/dev/null
"$T2C" key create ldevid >/dev/null
"$T2C" key create device >/dev/null
export TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_LOG="$work/commands"

# count WHAT WANTED COMMAND...: the names of the TPM commands that it costs.
count() {
    what=$1 wanted=$2
    shift 2
    : >"$work/commands"
    "$@" >"$work/out"
    check_equal "$what" "$wanted" "$(sed -e 's/0000015d/Sign/' -e 's/00000155/HMAC/' -e 's/00000157/Load/' \
        -e 's/00000159/RSA_Decrypt/' "$work/commands" | tr '\n' ' ' | sed 's/ $//')"
}
status_is() { # WHAT WANTED COMMAND...
    what=$1 wanted=$2
    shift 2
    "$@" >"$work/out"
    check_equal "$what" "$wanted" "$(cat "$work/status")"
}
printf 'what is signed' >"$work/text"
openssl dgst -sha256 -binary "$work/text" >"$work/digest"
sign_text() { # HANDLE
    ecdsa "$1" <"$work/digest"
}
signs() { # HANDLE PUBLIC-KEY
    sign_text "$1" >"$work/signature"
    openssl dgst -sha256 -verify "$2" -signature "$work/signature" "$work/text"
}

# ---- how it is found ----

needed=$(readelf -d "$BUILD/keyd" | sed -n 's/.*NEEDED.*\[\(.*aziot.*\)\]/\1/p')
check_equal "keyd needs the library by its plain name" libaziot_keys.so "$needed"
check_equal "and says not where it is" "" "$(readelf -d "$BUILD/keyd" | grep -E 'RPATH|RUNPATH')"
check_equal "the library that it was linked with has no other name" "" \
    "$(readelf -d "$BUILD/test/keyd/stub/libaziot_keys.so" | grep SONAME)"
with_stub() {
    env LD_LIBRARY_PATH="$BUILD/test/keyd/stub" "$BUILD/keyd"
}
check_fails "without ours keyd does not start" \
    "could not set tpm2cloud parameter on library: AZIOT_KEYS_RC_ERR_INVALID_PARAMETER" with_stub
keyd_patch 90-wrong '[aziot_keys]' 'tpm2cloud_rsa = "perhaps"'
check_fails "nor with a parameter that is wrong" \
    "could not set tpm2cloud_rsa parameter on library: AZIOT_KEYS_RC_ERR_INVALID_PARAMETER" \
    env LD_LIBRARY_PATH="$BUILD/.libs" "$BUILD/keyd"
rm "$AZIOT_KEYD_CONFIG_DIR/90-wrong.toml"
keyd_patch 10-order '[aziot_keys]' 'zebra = "1"' 'aardvark = "2"'

# The other three daemons of aziot load the library, too, and never call it.
if [ -n "$PRELOAD" ] || ! strace -o "$work/trace" true 2>/dev/null; then
    skip "loading it opens nothing" "a sanitizer's library would do it, or strace may not trace here"
else
    strace -f -E LD_PRELOAD="$BUILD/.libs/libaziot_keys.so" -e trace='?open,openat,?creat,%network' -o "$work/trace" true
    check "a program that loads it" grep -q 'libaziot_keys\.so.* = [0-9]' "$work/trace"
    check_equal "opens nothing but libraries" "" "$(grep -vE '\.so["./]|\+\+\+' "$work/trace")"
fi
: >"$work/commands"
keyd_start
check "keyd starts with ours, of version 2.1" grep -q "with version 0x02010000" "$work/keyd.log"
check_equal "which is told of parameters in the order of their names" "aardvark zebra" \
    "$(sed -n 's/.*libaziot_keys: \([a-z]*\): a parameter.*/\1/p' "$work/keyd.log" | tr '\n' ' ' | sed 's/ $//')"
check_equal "which asks the TPM nothing" "" "$(cat "$work/commands")"
check_equal "and writes nothing" "" "$(ls "$work/home")"

# ---- a key pair ----

status_is "a key pair that there is not" 400 ask /keypair/device-id
handle=$(new_pair device-id rsa-2048:'*')
check_equal "a key pair is made" 200 "$(cat "$work/status")"
check_equal "its algorithm" '{"value":"ECDSA"}' "$(ask_with POST /parameters/algorithm --arg h "$handle" '{keyHandle: $h}')"
check_equal "its curve" 06082a8648ce3d030107 "$(parameter "$handle" ec-curve-oid | hex)"
check_equal "its point is compressed" 33 "$(parameter "$handle" ec-point | wc -c)"
status_is "it has no modulus" 400 parameter "$handle" rsa-modulus
public_of "$handle" "$work/device-id.pub"
check "it signs" signs "$handle" "$work/device-id.pub"
count "to load it costs the TPM nothing" "" pair device-id
count "nor do its parameters" "" parameter "$handle" ec-point
count "a signature is one command" "Sign" sign_text "$handle"
new_pair device-id ec-p256 >"$work/again"
check "it is not made twice" signs "$(cat "$work/again")" "$work/device-id.pub"

request_of "$handle" device-id "$work/device-id.csr"
verifies() { # REQUEST
    openssl req -inform DER -in "$1" -verify -noout 2>&1 | grep 'verify OK'
}
check "a certificate request for device-id verifies" verifies "$work/device-id.csr"
check_equal "for that name" "subject=CN=device-id" "$(openssl req -inform DER -in "$work/device-id.csr" -noout -subject -nameopt RFC2253)"
check_equal "and that key" "$(cat "$work/device-id.pub")" \
    "$(openssl req -inform DER -in "$work/device-id.csr" -noout -pubkey | openssl pkey -pubin -ec_conv_form uncompressed)"

# ---- RSA ----

rsa=$(new_pair rsa rsa-2048)
public_of "$rsa" "$work/rsa.pub"
check_equal "an RSA key pair" "Public-Key: (2048 bit)" "$(openssl pkey -pubin -in "$work/rsa.pub" -noout -text | head -n 1)"
{ printf '\060\061\060\015\006\011\140\206\110\001\145\003\004\002\001\005\000\004\040' && cat "$work/digest"; } >"$work/info"
rsa "$rsa" PKCS1 <"$work/info" >"$work/signature"
check "a signature of PKCS#1" openssl dgst -sha256 -verify "$work/rsa.pub" -signature "$work/signature" "$work/text"
# The block that openssl pads for PSS: it signs with a key of its own, whose public half gives the block back.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/soft.pem" 2>/dev/null
openssl dgst -sha256 -sign "$work/soft.pem" -sigopt rsa_padding_mode:pss -out "$work/soft.sig" "$work/text"
openssl pkeyutl -verifyrecover -inkey "$work/soft.pem" -pkeyopt rsa_padding_mode:none -in "$work/soft.sig" -out "$work/block"
rsa "$rsa" NO-PADDING <"$work/block" >"$work/signature"
check "a signature of PSS, padded by openssl" openssl dgst -sha256 -verify "$work/rsa.pub" -sigopt rsa_padding_mode:pss \
    -signature "$work/signature" "$work/text"
status_is "no ECDSA by an RSA key" 400 sign_text "$rsa"
status_is "no RSA by an EC key" 400 rsa "$handle" PKCS1 <"$work/info"
status_is "it decrypts nothing" 400 ask_with POST /decrypt --arg h "$rsa" '{keyHandle: $h, algorithm: "RSA-PKCS1", ciphertext: ""}'

# ---- symmetric keys: the published vectors, and openssl's answers ----

unhex() {
    printf %s "$1" | tr a-f A-F | basenc --base16 -d
}
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
unhex $key >"$work/key"
printf message >"$work/message"
printf 'edgeHub:637000000000000000:primary' >"$work/derivation"
printf edgeAgent637000000000000000 >"$work/aad"
printf 'hello TPM secret' >"$work/secret"
openssl_hmac() { # KEY IN HEXADECIMAL, FILE
    openssl mac -digest SHA256 -macopt "hexkey:$1" -in "$2" HMAC | tr A-F a-f
}
sas=$(new_key sas derive,sign "$work/key")
check_equal "HMAC-SHA256" "$(openssl_hmac $key "$work/message")" "$(hmac "$sas" <"$work/message" | hex)"
head -c 3000 /dev/urandom >"$work/long"
check_equal "of a long message" "$(openssl_hmac $key "$work/long")" "$(hmac "$sas" <"$work/long" | hex)"
check_equal "of nothing" "$(openssl_hmac $key /dev/null)" "$(hmac "$sas" </dev/null | hex)"
hmac_message() {
    hmac "$sas" <"$work/message"
}
count "an HMAC is one command" "HMAC" hmac_message
count "to load the key costs nothing" "" ask /key/sas
primary=$(derived "$sas" "$work/derivation")
derived_key=$(openssl_hmac $key "$work/derivation")
check_equal "a derived key is exported" "$derived_key" \
    "$(ask_with POST /derivedkey/export --arg h "$primary" '{keyHandle: $h}' | bytes key | hex)"
check_equal "and signs" "$(openssl_hmac "$derived_key" "$work/message")" "$(hmac "$primary" <"$work/message" | hex)"
status_is "nothing is derived from it" 400 derived "$primary" "$work/derivation"
status_is "another key is not exported" 400 ask_with POST /derivedkey/export --arg h "$sas" '{keyHandle: $h}'
aead "$primary" encrypt 0123456789ab <"$work/secret" >"$work/cipher"
check_equal "a derived key encrypts" 33 "$(wc -c <"$work/cipher")"
check_equal "and decrypts" "hello TPM secret" "$(aead "$primary" decrypt 0123456789ab <"$work/cipher")"

enc=$(new_key iotedge_master_encryption_id encrypt "$work/key")
v2=0225d335bda22a66ce3512c617935bd488b4b24f4f9b61a9c6019c176aa871645b
v1=01b4b24f4f9b61a9c6019c176aa871645b25d335bda22a66ce3512c617935bd488
check_equal "AEAD, the published vector" $v2 "$(aead "$enc" encrypt 0123456789abcdef <"$work/secret" | hex)"
for vector in $v2 $v1; do
    check_equal "version ${vector%"${vector#??}"} is decrypted" "hello TPM secret" \
        "$(unhex "$vector" | aead "$enc" decrypt 0123456789abcdef)"
done
empty=$(derived "$enc" /dev/null)
check_equal "a key that is derived from nothing signs" "$(openssl_hmac "$(openssl_hmac $key /dev/null)" "$work/message")" \
    "$(hmac "$empty" <"$work/message" | hex)"
: >"$work/aad"
aead "$empty" encrypt iv </dev/null >"$work/cipher"
check_equal "nothing is encrypted, with no additional data" 17 "$(wc -c <"$work/cipher")"
check_equal "and decrypted" 0 "$(aead "$empty" decrypt iv <"$work/cipher" | wc -c)"
check_equal "as this is" 200 "$(cat "$work/status")"
printf edgeAgent637000000000000000 >"$work/aad"
status_is "an empty IV" 400 aead "$enc" encrypt "" <"$work/secret"
unhex "${v2%b}a" >"$work/cipher"
status_is "a tag that does not fit" 500 aead "$enc" decrypt 0123456789abcdef <"$work/cipher"
unhex "03${v2#02}" >"$work/cipher"
status_is "a version that there is not" 400 aead "$enc" decrypt 0123456789abcdef <"$work/cipher"

# ---- what keyd says no to ----

status_is "an HMAC by a key pair" 400 hmac "$handle" </dev/null
status_is "ECDSA by a symmetric key" 400 sign_text "$sas"
forged="sr=$(printf '{"key_id":{"KeyPair":"rsa"},"nonce":""}' | b64)&sig=${handle#*&sig=}"
status_is "a handle that keyd did not make" 400 sign_text "$forged"
status_is "none at all" 400 sign_text device-id
while read -r wanted method path body; do
    status_is "$method $path $body" "$wanted" ask "$path" -X "$method" --data-binary "$body"
done <<'END'
404 GET /nothing
404 GET /keypair/a/b
400 GET /keypair/a%2Fb
400 PUT /keypair {}
400 POST /keypair
422 POST /keypair {"keyId"
422 POST /keypair {"preferredAlgorithms":"*"}
400 POST /keypair {"keyId":"x","preferredAlgorithms":"rsa-4096:dsa"}
400 POST /keypair/x {"from":"x"}
500 POST /keypair/x {"from":"nobody"}
400 GET /key/nobody
422 POST /key {"keyId":"x"}
422 POST /key {"keyId":"x","usage":"sign,dance"}
422 POST /key {"keyId":"x","usage":"sign","keyBytes":"?"}
END
curl -sS --unix-socket "$keyd_socket" -o "$work/out" -w '%{http_code}' http://keyd/key/sas >"$work/status"
check_equal "no api-version" '400 {"message":"api-version not specified"}' "$(cat "$work/status") $(cat "$work/out")"

# ---- the key is the TPM's ----

keyd_stop
tpm_clean "keyd was stopped"
record=$(find "$work/home/keys" -name 'deviceid-*.tpm')
sed -n 's/.*-----BEGIN TSS2/-----BEGIN TSS2/; /BEGIN TSS2/,/END TSS2/p' "$record" >"$work/record.pem"
octets() { # N: the Nth OCTET STRING of the record's TSS2 key
    openssl asn1parse -in "$work/record.pem" -noout -out "$work/record.der"
    at=$(openssl asn1parse -in "$work/record.pem" | sed -n 's/^ *\([0-9]*\):.*hl=\([0-9]*\) l= *\([0-9]*\) .*OCTET STRING.*/\1 \2 \3/p' |
        sed -n "$1p")
    # shellcheck disable=SC2086
    set -- $at
    tail -c "+$(($1 + $2 + 1))" "$work/record.der" | head -c "$3"
}
octets 1 >"$work/record.public"
octets 2 >"$work/record.private"
check "tpm2-tools loads what is in the record" tpm2_load -Q -C 0x81000001 -u "$work/record.public" -r "$work/record.private" \
    -c "$work/record.context"
check "and reads its public area" tpm2_readpublic -Q -c "$work/record.context" -f pem -o "$work/tpm.pub"
check "which is the key that was certified" cmp "$work/device-id.pub" "$work/tpm.pub"
tpm2_flushcontext -t

# ---- another keyd ----

keyd_start
pair device-id >"$work/again"
check "after a restart the same key answers" signs "$(cat "$work/again")" "$work/device-id.pub"
check "and the handle from before" signs "$handle" "$work/device-id.pub"
keyd_stop
keyd_start
check "keyd's own key is loaded by the first request" parameter "$handle" ec-point
count "the first signature loads the record's key" "Load Sign" sign_text "$handle"
count "the next one is one command" "Sign" sign_text "$handle"
check_equal "the same HMAC" "$(openssl_hmac $key "$work/message")" "$(hmac "$sas" <"$work/message" | hex)"

temp=$(new_pair device-id-temp ec-p256)
public_of "$temp" "$work/temp.pub"
status_is "a key pair is moved onto another" 204 ask_with POST /keypair/device-id '{from: "device-id-temp"}'
check "which is used from then on" signs "$handle" "$work/temp.pub"
status_is "the first name is gone" 400 ask /keypair/device-id-temp
check_fails "and is another" "" cmp -s "$work/temp.pub" "$work/device-id.pub"
status_is "a key pair is removed" 204 ask_with DELETE /keypair --arg h "$rsa" '{keyHandle: $h}'
status_is "it is gone" 400 ask /keypair/rsa
status_is "and removed again" 204 ask_with DELETE /keypair --arg h "$rsa" '{keyHandle: $h}'
status_is "a symmetric key, too" 204 ask_with DELETE /key --arg h "$sas" '{keyHandle: $h}'
status_is "it is gone, too" 400 ask /key/sas
own=$(ask /key/handle-validation-key | value keyHandle)
status_is "keyd's own key is removed" 204 ask_with DELETE /key --arg h "$own" '{keyHandle: $h}'
status_is "and no handle holds any more" 400 sign_text "$handle"
handle=$(pair device-id)
check "but a new one" signs "$handle" "$work/temp.pub"
keyd_stop

keyd_start --2.0
check "a keyd that knows version 2.0 alone" grep -q "with version 0x02000000" "$work/keyd.log"
check "signs" signs "$handle" "$work/temp.pub"
status_is "believes that it moves" 204 ask_with POST /keypair/other '{from: "device-id"}'
check "and does not" signs "$handle" "$work/temp.pub"
keyd_stop

# ---- keys of the TPM by their names ----

keyd_patch 50-tpm2cloud '[preloaded_keys]' 'device-id = "tpm2cloud:ldevid"' \
    'est-bootstrap-id = "pkcs11:token=tpm2cloud;object=device"' 'aziot-edged-ca = "tpm2cloud:pump"'
printf '[aziot_keys]\nno = true\n' >"$work/linked.toml"
ln -s "$work/linked.toml" "$AZIOT_KEYD_CONFIG_DIR/90-linked.toml"
keyd_start
tpm2_readpublic -Q -c 0x81000002 -f pem -o "$work/ldevid.pub"
device=$(pair device-id)
count "a persistent key signs by one command, the first time, too" "Sign" sign_text "$device"
check "which the public area verifies that tpm2-tools reads" signs "$device" "$work/ldevid.pub"
request_of "$device" edge1 "$work/edge1.csr"
check "a certificate request by it" verifies "$work/edge1.csr"
spare=$(new_pair spare ec-p256)
for id in device-id est-bootstrap-id; do
    status_is "$id: is made, because it is there" 200 new_pair $id 'rsa-2048:*'
    named=$(pair $id)
    public_of "$named" "$work/named.pub"
    status_is "$id: is not removed" 400 ask_with DELETE /keypair --arg h "$named" '{keyHandle: $h}'
    status_is "$id: nothing is moved onto it" 400 ask_with POST "/keypair/$id" '{from: "spare"}'
    status_is "$id: is not moved away" 400 ask_with POST /keypair/other --arg i $id '{from: $i}'
    status_is "$id: nothing is imported in its place" 400 new_key $id sign "$work/key"
    check "$id: is as it was" signs "$named" "$work/named.pub"
done
check "so is what should have been moved" sign_text "$spare"

# ---- a key that estd switches while keyd runs ----

status_is "a name that there is not yet" 400 ask /keypair/aziot-edged-ca
keyd_stop # so that this TPM, which has no resource manager, has room for what estd makes
estca_start plant --auth any --user device:secret || skip_all "estca does not start"
echo secret >"$work/password"
mkdir "$work/certs.d"
cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
certs_dir = $work/certs
socket = none
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/plant/root.pem
user = device
password_file = $work/password
END
printf '[certificate]\nkey = tpm2cloud:pump\nsubject = /CN=pump\n[renew]\nrotate = yes\n' >"$work/certs.d/pump.conf"
for generation in 1 2; do
    check "estd makes key $generation and has it certified" "$ESTD" -c "$work/estd.conf" --once pump
    openssl x509 -in "$work/certs/pump/gen-$generation/cert.pem" -noout -pubkey >"$work/pump-$generation.pub"
done
switch() { # GENERATION: as estd does
    ln -s "gen-$1" "$work/certs/pump/.current" && mv -T "$work/certs/pump/.current" "$work/certs/pump/current"
}
switch 1
keyd_start
pump=$(pair aziot-edged-ca)
for generation in 1 2 1; do
    switch $generation
    check "key $generation signs when it was switched to" signs "$pump" "$work/pump-$generation.pub"
    public_of "$(pair aziot-edged-ca)" "$work/pump.pub"
    check "and is loaded" cmp "$work/pump-$generation.pub" "$work/pump.pub"
done

# ---- who may ----

if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --clear-groups true 2>/dev/null; then
    keyd_stop
    keyd_patch 60-principal '[[principal]]' 'uid = 65534' 'keys = ["pump*", "device-id"]'
    keyd_start
    chmod 711 "$work"
    chmod 666 "$keyd_socket"
    as_nobody() { # ID
        setpriv --reuid=65534 --clear-groups curl -sS --unix-socket "$keyd_socket" -w '%{http_code}' \
            "http://keyd/keypair/$1?api-version=2021-05-01" | sed 's/.*}//' >"$work/status"
    }
    status_is "another user loads a key that it has a principal for" 200 as_nobody device-id
    status_is "and no other" 401 as_nobody spare
else
    skip "another user loads the keys that it has a principal for" "only root can become another user"
fi
keyd_stop
tpm_clean "all"
finish
