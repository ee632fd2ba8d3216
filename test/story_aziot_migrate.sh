#!/bin/sh
# Keys that aziot-keyd's stock library kept in files: they come into the TPM when they are used, and what was made with them
# goes on working; nothing is lost, whatever lies there.
# shellcheck disable=SC1091,SC2086
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_readpublic tpm2_import tpm2_load tpm2_print
library=$BUILD/.libs/libaziot_keys.so
home=$work/home
keys=$home/keys
tpm_start
counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
"$T2C" key create srk >/dev/null

# aziot CALL:ID...: calls of the library, each with what it answers; see test/aziot_calls.c.
aziot() {
    : >"$work/commands"
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD aziot_calls "$@"
    else
        aziot_calls "$@"
    fi
}
aziot_calls() {
    env TPM2CLOUD_TCTI="$counting" T2C_TCTI_LOG="$work/commands" T2C_TCTI_TRAFFIC="$work/wire" \
        "$BUILD/aziot_calls" "$library" "$home" calls "$@"
}
answer() { # CALL:ID...: what the last of them answers.
    for last in "$@"; do :; done
    aziot "$@" 2>/dev/null | sed -n "s/^${last%%:*} //p" | tail -n 1
}
code() { # CALL:ID...: the last code
    aziot "$@" 2>/dev/null | sed -n 's/^rc //p' | tail -n 1
}
not() {
    ! "$@"
}
on_wire() { # HEX
    od -An -v -tx1 "$work/wire" | tr -d ' \n' | grep -q "$1"
}

# What the stock library calls the files of these ids.
device=$keys/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655
temp=$keys/deviceidtemp-18529c9171bde94d93057c5ae38aa55de93bd188cf902aae402ccff020205f2b
est=$keys/estid-c45f3e96a312cc524fecceddbc40dfc2aa789eae911d8bc7dd4eda19b93be900
edgeca=$keys/aziotedgedca-86f154be7ff14480027f0d00c59c223db6d9e4ab0b559fc523cca36a7c973d6d
handles=$keys/handlevalidationkey-40f1ca41fe8b50f53e10f3e3a580dcae24087f37aa498ba9903f2612b03e90ba
master=$keys/iotedgemasterencryptionid-9088210ae5de3106f57307359ce517da740f93ba17f4312f770c9383ad85b64f
identity=$keys/aziotidentitydmasterid-91b92c2c06a5a5dda5fbc9c48b4d428d930b9c1b8b2956a1044ccbc7a266afc9
key_hex=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
unhex() {
    tr -d '\n' | sed 's/../\\x&/g' | xargs -0 printf %b
}
raw_key() { # FILE: key K of the published vectors
    echo $key_hex | unhex >"$1"
}
hmac_by() { # FILE: HMAC-SHA256 of the digest by the key in it
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(od -An -v -tx1 "$1" | tr -d ' \n')" -r "$work/digest" | cut -d' ' -f1
}
pair() { # FILE ALGORITHM OPTION...: as the stock library writes it
    openssl genpkey -algorithm "$2" -pkeyopt "$3" -out "$1" 2>/dev/null
    openssl pkey -in "$1" -pubout -out "$1.pub"
    chmod 644 "$1"
    mv "$1.pub" "$work/$(basename "$1").pub"
}
old_public() { # FILE: of what the stock library had there
    echo "$work/$(basename "$1").pub"
}
printf '\001\002\003' >"$work/digest"
head -c 29 /dev/zero >>"$work/digest"
verifies() { # FILE ID: the key answers for the public key that the file had
    answer "sign:$2" | unhex >"$work/sig"
    openssl pkeyutl -verify -pubin -inkey "$(old_public "$1")" -in "$work/digest" -sigfile "$work/sig"
}
install -d -m 700 "$keys"

# ---- a key pair ----

pair "$device.key" EC ec_paramgen_curve:P-256
cp "$device.key" "$work/device.stock"
numbers() { # NAME FILE: of a key pair, in hexadecimal
    openssl pkey -in "$2" -noout -text | awk -v "name=$1:" '/^[^ ]/ { on = $0 == name; next } on' | tr -d ' :\n' |
        sed 's/^00//'
}
secret=$(numbers priv "$device.key")
: >"$work/wire"
check "a key pair in a file of the stock library's signs" verifies "$device.key" device-id
check "its private half never was on the wire" not on_wire "$secret"
check "as its public half was: the check can fail" on_wire "$(numbers pub "$work/device.stock" | cut -c 3-66)"
check "it is a record now" test -f "$device.tpm"
check "the file is set aside" cmp "$work/device.stock" "$device.key.migrated"
check "and not where the stock library looks" test ! -e "$device.key"
check "after a restart it is the same" verifies "$device.key" device-id
check_equal "by one Load, one Sign and one FlushContext" "00000157 0000015d 00000165" \
    "$(tr '\n' ' ' <"$work/commands" | sed 's/ $//')"
check_equal "the record has no more rights than it needs" 600 "$(stat -c %a "$device.tpm")"
pem_of() { # RECORD: the key file in it
    sed -n '/-----BEGIN TSS2/,/-----END TSS2/p' "$1" | sed 's/.*-----BEGIN/-----BEGIN/; s/KEY-----.*/KEY-----/'
}
# peer_check RECORD STOCK ALGORITHM ATTRIBUTES: what tpm2-tools reads of it, and what they make of the stock library's file.
peer_check() {
    pem_of "$1" | openssl asn1parse | sed -n 's/.*OCTET STRING.*DUMP\]://p' >"$work/octets"
    head -n 1 "$work/octets" | unhex >"$work/ours.u"
    tail -n 1 "$work/octets" | unhex >"$work/ours.r"
    tpm2_load -Q -C 0x81000001 -u "$work/ours.u" -r "$work/ours.r" -c "$work/ours.ctx" &&
        tpm2_readpublic -Q -c "$work/ours.ctx" -f pem -o "$work/ours.pub" &&
        openssl pkey -in "$2" -pubout | cmp - "$work/ours.pub" && tpm2_flushcontext -t &&
        tpm2_import -Q -C 0x81000001 -G "$3" -i "$2" -a "$4" -u "$work/peer.u" -r "$work/peer.r" &&
        tpm2_print -t TPM2B_PUBLIC "$work/ours.u" >"$work/ours" && tpm2_print -t TPM2B_PUBLIC "$work/peer.u" |
        cmp - "$work/ours"
}
check "tpm2-tools read the same public key of it, and make the same of the file by tpm2_import" \
    peer_check "$device.tpm" "$work/device.stock" ecc "userwithauth|noda|sign"

pair "$est.key" RSA rsa_keygen_bits:2048
cp "$est.key" "$work/est.stock"
: >"$work/wire"
check "an RSA key pair does, too" aziot create:est-id load:est-id
check "no prime of it was on the wire" not on_wire "$(numbers prime1 "$work/est.stock")"
check_equal "it is that key" "$(openssl rsa -in "$work/est.stock" -noout -modulus | sed 's/Modulus=//' | tr A-F a-f)" \
    "$(answer modulus:est-id)"
check "tpm2-tools say the same" peer_check "$est.tpm" "$work/est.stock" rsa "userwithauth|noda|sign|decrypt"
pem_of "$est.tpm" >"$work/est.pem"
conf_ssl dgst -sha256 -sign "$work/est.pem" -sigopt rsa_padding_mode:pss -out "$work/sig" "$work/digest" 2>"$work/err"
check "a PSS signature by it verifies with the old public key" openssl dgst -sha256 -verify "$(old_public "$est.key")" \
    -sigopt rsa_padding_mode:pss -signature "$work/sig" "$work/digest"

# ---- symmetric keys ----

for file in "$master.key" "$identity.key" "$handles.key"; do
    raw_key "$file"
    chmod 644 "$file"
done
derivation=edgeHub:637000000000000000:primary
: >"$work/wire"
check_equal "what identityd derives for a module is the same" \
    75e8cfe66d7c92b284aab190a1f13ae5fe920df947badf03aec287d00cc64453 \
    "$(answer "derive:aziot_identityd_master_id:$derivation")"
iv=000102030405060708090a0b aad=edgeAgent637000000000000000
plain=$(printf 'hello TPM secret' | od -An -v -tx1 | tr -d ' \n')
check_equal "what edgeAgent encrypted is read" "$plain" \
    "$(answer "decrypt:iotedge_master_encryption_id:$iv,$aad,022f67ba77aac5964bc061e4eed29b1d19b33852074455db8950d5c46c19790b6d")"
check_equal "by IoT Edge 1.1, too" "$plain" \
    "$(answer "decrypt:iotedge_master_encryption_id:$iv,$aad,01b33852074455db8950d5c46c19790b6d2f67ba77aac5964bc061e4eed29b1d19")"
check_equal "with a longer IV" "$plain" "$(answer "decrypt:iotedge_master_encryption_id:$(printf 0123456789abcdef |
    od -An -v -tx1 | tr -d ' \n'),$aad,0225d335bda22a66ce3512c617935bd488b4b24f4f9b61a9c6019c176aa871645b")"
mac=$(hmac_by "$handles.key")
check_equal "handles stay valid" "$mac" "$(answer create-key:handle-validation-key hmac:handle-validation-key)"
check "no key of theirs was on the wire" not on_wire "$key_hex"
for file in "$master" "$identity" "$handles"; do
    check "set aside: $(basename "$file" | cut -d- -f1)" test -f "$file.tpm" -a -f "$file.key.migrated" -a ! -e "$file.key"
done
long=$keys/long-$(printf long | sha256sum | cut -d' ' -f1)
head -c 200 /dev/zero | tr '\0' 7 >"$long.key"
mac_long=$(hmac_by "$long.key")
check_equal "a key of 200 bytes makes the same HMAC" "$mac_long" "$(answer hmac:long)"

# ---- what is in the way, or interrupted ----

state() { # STEM: what of it is there
    for end in tpm key key.migrated key.migrated.2 key.damaged; do
        [ ! -e "$1.$end" ] || printf '%s ' "$end"
    done
}
cp "$work/device.stock" "$device.key"
check "a file that is there again, of the same key" verifies "$device.key" device-id
check_equal "is set aside, beside the first" "tpm key.migrated key.migrated.2 " "$(state "$device")"
rm "$device.key.migrated.2"
pair "$device.key" EC ec_paramgen_curve:P-256
cp "$device.tpm" "$work/device.tpm"
check_fails "a file of another key is a question for a human" "are different keys, and both could be needed" \
    aziot sign:device-id
check_equal "with RC 2" 2 "$(code load:device-id)"
check_equal "nor is another made" 2 "$(code create:device-id)"
check_equal "both stay" "tpm key key.migrated " "$(state "$device")"
check "as they were" cmp "$work/device.tpm" "$device.tpm"
rm "$device.key"
cp "$master.key.migrated" "$identity.key"
check "the same symmetric key is set aside" aziot load-key:aziot_identityd_master_id
printf x >>"$identity.key.migrated.2"
mv "$identity.key.migrated.2" "$identity.key"
check_fails "another symmetric key is a question, too" "are different keys" aziot load-key:aziot_identityd_master_id
rm "$identity.key"
cp "$work/device.stock" "$identity.key"
check_fails "a key pair where a symmetric key is looked for" "is a key pair, and no symmetric key" \
    aziot load-key:aziot_identityd_master_id
rm "$identity.key"

# ---- what is no key ----

spoilt=$keys/spoilt-$(printf spoilt | sha256sum | cut -d' ' -f1)
: >"$spoilt.key"
check_fails "an empty file" "is empty: bring it back from a backup" aziot load-key:spoilt
check_equal "is RC 2" 2 "$(code load-key:spoilt)"
check_fails "no other symmetric key is made: what was derived from it would be lost" "is empty" aziot create-key:spoilt
check_equal "it stays" "key " "$(state "$spoilt")"
head -c 100 "$work/device.stock" >"$spoilt.key"
cp "$spoilt.key" "$work/spoilt"
check_fails "half of a key pair" "no private key can be read from" aziot load:spoilt
check_equal "is RC 2, too" 2 "$(code load:spoilt)"
check "when a pair is made, it counts as none, as in the stock library" aziot create:spoilt sign:spoilt
check_equal "and is kept" "tpm key.damaged " "$(state "$spoilt")"
check "as it was" cmp "$work/spoilt" "$spoilt.key.damaged"
cp "$work/spoilt" "$spoilt.key"
check "beside a good record it is in nobody's way" aziot sign:spoilt
rm -f "$spoilt".*
raw_key "$spoilt.key"
check_fails "a symmetric key where a pair is looked for" "is no key pair" aziot load:spoilt
check "counts as none, too, when a pair is made" aziot create:spoilt sign:spoilt
check_equal "and is kept, too" "tpm key.damaged " "$(state "$spoilt")"
rm -f "$spoilt".*

# ---- removed, moved and replaced before they were used ----

pair "$edgeca.key" EC ec_paramgen_curve:P-256
check "a key that was never used is removed" aziot delete:aziot-edged-ca
check_equal "whole" "" "$(state "$edgeca")"
pair "$temp.key" EC ec_paramgen_curve:P-256
pair "$edgeca.key" EC ec_paramgen_curve:P-256
cp "$edgeca.key" "$work/edgeca.stock"
check "one file's key is moved to that of another" aziot move:device-id-temp:aziot-edged-ca
check_equal "and there it is" "tpm key.migrated " "$(state "$edgeca")"
check_equal "and nowhere else" "key.migrated " "$(state "$temp")"
check "it is the one that was moved" verifies "$temp.key" aziot-edged-ca
check "what was replaced is kept" cmp "$work/edgeca.stock" "$edgeca.key.migrated"
head -c 32 /dev/urandom >"$spoilt.key"
cp "$spoilt.key" "$work/spoilt"
check "a symmetric key is imported over one in a file" aziot import:spoilt
check_equal "and is that key" "$(hmac_by "$work/digest")" "$(answer hmac:spoilt)"
check "the one that it replaced is kept" cmp "$work/spoilt" "$spoilt.key.migrated"

# ---- a TPM that does not take it ----

pair "$temp.key" EC ec_paramgen_curve:secp256k1
check_fails "a key of a kind that no TPM has" "is not one that the TPM takes" aziot load:device-id-temp
check_equal "stays where it is" "key key.migrated " "$(state "$temp")"
check_fails "and no other is made" "is not one that the TPM takes" aziot create:device-id-temp
rm "$temp".*
pair "$temp.key" EC ec_paramgen_curve:P-256
srk=$work/keys/81000001.record
mv "$srk" "$work/srk.away"
check_fails "without a recorded storage root key nothing is sent" "tpm2cloud key pin srk" aziot load:device-id-temp
check_equal "which is no missing key" 2 "$(code load:device-id-temp)"
check_equal "and the file stays" "key " "$(state "$temp")"
mv "$work/srk.away" "$srk"
check "with it the key is taken" verifies "$temp.key" device-id-temp

# ---- below a storage root key that is an EC key ----

rm -rf "$keys" "$srk"
install -d -m 700 "$keys"
tpm2_clear -Q -c p 2>/dev/null || tpm2_clear -Q
tpm2_createprimary -Q -C o -G ecc256:null:aes128cfb -c "$work/srk.ctx" -a \
    "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
tpm2_evictcontrol -Q -C o -c "$work/srk.ctx" 0x81000001
tpm2_flushcontext -t
"$T2C" key pin srk >/dev/null
pair "$device.key" EC ec_paramgen_curve:P-256
cp "$device.key" "$work/device.stock"
check "a key pair is taken below an EC key" verifies "$device.key" device-id
check "where tpm2-tools find it, too" peer_check "$device.tpm" "$work/device.stock" ecc "userwithauth|noda|sign"
raw_key "$master.key"
check_equal "and a symmetric key" "$mac" "$(answer hmac:iotedge_master_encryption_id)"
tpm_clean "migration"
finish
