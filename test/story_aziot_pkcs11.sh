#!/bin/sh
# Keys of IoT Edge that sit in tokens of tpm2-pkcs11 become records of libaziot_keys: the same keys, without PIN and store.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/token.sh"
need swtpm openssl tpm2_ptool tpm2_getcap tpm2_create pkcs11-tool python3
# Nothing that could be installed helps.
[ "$(getconf LONG_BIT)" -ne 32 ] || { echo "1..0 # SKIP OpenSC of 32 bits aborts when it reads an EC key"; exit 0; }
module=$(token_module)
[ -n "$module" ] || skip_all "tpm2-pkcs11 is not installed"
library=$BUILD/.libs/libaziot_keys.so
home=$work/home store=$work/store
mkdir -p "$home/keys"
base="pkcs11:token=edge?pin-value=1234"

tpm_start
token_tools "$store"
make() { # VERB ARGUMENTS...
    ptool "$@" || skip_all "tpm2_ptool $1: $(tail -n 1 "$work/ptool.log")"
}
token() { # ARGUMENTS...: the foreign library with the token.
    env -u OPENSSL_MODULES TSS2_LOG=all+NONE pkcs11-tool --module "$module" --token-label edge --login --pin 1234 "$@"
}

# ---- as the scripts of the time before set it up: the primary is the storage root key ----

"$T2C" key create srk >/dev/null
make init --primary-handle=0x81000001
make addtoken --pid 1 --sopin 5678 --userpin 1234 --label edge
make addkey --label edge --userpin 1234 --algorithm ecc256 --key-label device-id
make addkey --label edge --userpin 1234 --algorithm rsa2048 --key-label est-id
make addkey --label edge --userpin 1234 --algorithm aes256 --key-label iotedge_master_encryption_id
make addkey --label edge --userpin 1234 --algorithm hmac:sha256 --key-label aziot_identityd_master_id --id mac
make addkey --label edge --userpin 1234 --algorithm hmac:sha512 --key-label other
tpm2_create -Q -C 0x81000001 -G rsa -u "$work/ldevid.pub" -r "$work/ldevid.priv"
tpm2_flushcontext -t
make link --label edge --userpin 1234 --key-label=ldevid "$work/ldevid.pub" "$work/ldevid.priv"
check "the foreign library makes a key, too, as keyd's does" \
    token --keypairgen --key-type EC:prime256v1 --label aziot-edged-ca
for label in device-id est-id ldevid aziot-edged-ca; do
    token --read-object --type pubkey --label $label -o "$work/$label.der" >/dev/null 2>&1
done
find "$store" -type f -exec sha256sum {} + >"$work/before"
ls -l --time-style=full-iso "$store" >>"$work/before"

# adopt VERB STORE BASE PIN-SOURCE [ID=URI...]
adopt() {
    verb=$1 from=$2 slot=$3 pin=$4
    shift 4
    "$BUILD/adopt_pkcs11" "$verb" "$from" "$home" "$slot" "$pin" "$@"
}
fate() { # ID: what becomes of it, of the listing $work/list
    awk -F '\t' -v id="$1" '$1 == id { print $4 }' "$work/list"
}
aziot() {
    stock env "$BUILD/aziot_calls" "$library" "$home" calls "$@"
}

# ---- what would become of them ----

check "the keys are listed" adopt list "$store" "$base" -
cp "$work/out" "$work/list"
check_equal "each once" \
    "device-id est-id iotedge_master_encryption_id aziot_identityd_master_id other ldevid aziot-edged-ca" \
    "$(cut -f 1 "$work/list" | tr '\n' ' ' | sed 's/ $//')"
for id in device-id est-id ldevid aziot-edged-ca aziot_identityd_master_id; do
    check_equal "$id is adopted" adopt "$(fate $id)"
done
check_equal "an AES key is not" aside "$(fate iotedge_master_encryption_id)"
check "and it says why" grep -q "it is an AES key inside of the TPM" "$work/list"
check_equal "an HMAC key of another hash neither" aside "$(fate other)"
check "for that reason" grep -q "is no HMAC key that was made for SHA-256 alone" "$work/list"
check_equal "a list changes nothing" "" "$(ls "$home/keys")"
check "a token without PIN" adopt list "$store" pkcs11:token=edge -
cp "$work/out" "$work/list"
check_equal "its keys want one" pin "$(fate device-id)"
check "and how to say it" grep -q -- "--pin-from file:/path, env:NAME or cred:NAME" "$work/list"
check "preloaded keys, by label and by slot" adopt list "$store" "$base" - 'est-bootstrap-id=pkcs11:token=edge;object=ldevid' \
    'local-ca=pkcs11:slot-id=1;object=aziot%2Dedged%2Dca' 'gone=pkcs11:token=edge;object=gone' 'fog=pkcs11:token=fog;object=x'
cp "$work/out" "$work/list"
check_equal "have their own ids" "adopt adopt" "$(fate est-bootstrap-id) $(fate local-ca)"
check_equal "and no others" "" "$(fate ldevid)$(fate aziot-edged-ca)"
check_equal "a key and a token that are missing are said" "aside aside" "$(fate gone) $(fate fog)"
check_fails "a base slot that is missing" "has no token fog" adopt list "$store" pkcs11:token=fog -
check_fails "no store" "no store of tpm2-pkcs11 in $work/nowhere" adopt list "$work/nowhere" "$base" -
check_fails "a PIN of nowhere" "the environment has no NO_SUCH" adopt list "$store" "$base" env:NO_SUCH

# ---- a wrong PIN ----

lockout() {
    tpm2_getcap properties-variable | awk '/TPM2_PT_LOCKOUT_COUNTER/ { print $2 }'
}
check_fails "a wrong PIN is told" "the token edge: its PIN is not the one that was said" \
    adopt adopt "$store" 'pkcs11:token=edge?pin-value=4321' -
check_equal "it was asked once, for all keys" 0x1 "$(lockout)"
check_equal "and nothing was changed" "" "$(ls "$home/keys")"
check "no PIN stands in a message" sh -c "! grep -q 4321 '$work/err'"
tpm2_dictionarylockout --clear-lockout

# ---- without a record of the storage root key, nothing goes to the TPM ----

mv "$work/keys" "$work/unrecorded"
check_fails "a storage root key that is not recorded" "record it with: tpm2cloud key pin srk" adopt adopt "$store" "$base" -
check_fails "is what is told, and not the PIN" "" grep -q "its PIN" "$work/err"
mv "$work/unrecorded" "$work/keys"

# ---- adopted ----

printf '1234\n' >"$work/pin"
check "the keys are adopted, by a PIN out of a file" adopt adopt "$store" pkcs11:token=edge "file:$work/pin"
check_equal "five records" 5 "$(find "$home/keys" -name '*.tpm' | grep -c .)"
check_fails "one that is there is not replaced" "File exists" adopt adopt "$store" "$base" -
find "$store" -type f -exec sha256sum {} + >"$work/after"
ls -l --time-style=full-iso "$store" >>"$work/after"
check "the store is what it was" cmp "$work/before" "$work/after"
mv "$store" "$work/put-away"

# ---- what libaziot_keys says of them, and signs by them, without the store ----

unhex() { # FILE: what stdin is in hexadecimal.
    python3 -c 'import sys; open(sys.argv[1], "wb").write(bytes.fromhex(sys.stdin.read()))' "$1"
}
printf '\001\002\003' >"$work/digest" # what aziot_calls has signed
head -c 29 /dev/zero >>"$work/digest"
same_key() { # ID TYPE PUBLIC CALL OPTION...: what our library calls it, and what openssl makes of the token's
    aziot "$2:$1" "$4:$1" >"$work/answer"
    check_equal "$1: its public key is the token's" "$3" "$(sed -n "s/^$2 //p" "$work/answer")"
    sed -n "s/^$4 //p" "$work/answer" | unhex "$work/sig"
    id=$1
    shift 4
    check "$id: what it signs is verified by openssl, with the token's key" openssl pkeyutl -verify -pubin \
        -keyform DER -inkey "$work/$id.der" -in "$work/digest" -sigfile "$work/sig" "$@"
}
for id in device-id aziot-edged-ca; do
    same_key $id point "$(openssl ec -pubin -inform der -in "$work/$id.der" -conv_form compressed -outform der \
        2>/dev/null | tail -c 33 | od -An -v -tx1 | tr -d ' \n')" sign
done
for id in est-id ldevid; do
    same_key $id modulus "$(openssl rsa -pubin -inform der -in "$work/$id.der" -noout -modulus | sed 's/.*=//' |
        tr A-F a-f)" private -pkeyopt digest:sha256
done
check_fails "a PIN in a location is not told" "tpm2cloud aziot migrate" stock env "$BUILD/aziot_calls" "$library" "$home" \
    'preloaded_key:x=pkcs11:token=edge;object=x?pin-value=4321' calls load:x
check "to nobody" sh -c "! grep -q 4321 '$work/err'"
tpm_clean "adopted"

# ---- and the store with them ----

mv "$work/put-away" "$store"
aziot hmac:aziot_identityd_master_id >"$work/answer"
token --sign --mechanism SHA256-HMAC --id 6d6163 --input-file "$work/digest" \
    --output-file "$work/mac" >"$work/mac.log" 2>&1 || sed 's/^/# /' "$work/mac.log"
check_equal "an HMAC key makes what the foreign library makes by it" "$(od -An -v -tx1 "$work/mac" | tr -d ' \n')" \
    "$(sed -n 's/^hmac //p' "$work/answer")"
check "the token's key still signs by the foreign library" token --sign --mechanism ECDSA --label device-id \
    --input-file "$work/digest" --output-file "$work/sig"

# ---- another TPM: the store says nothing about it, the TPM does ----

rm -f "$home/keys/"*
tpm_stop
tpm_start
"$T2C" key create srk >/dev/null
check "in another TPM" adopt adopt "$store" "$base" - 'est-bootstrap-id=pkcs11:token=edge;object=ldevid'
cp "$work/out" "$work/list"
check_equal "all are set aside" "aside" "$(cut -f 4 "$work/list" | sort -u)"
check "because they do not load" grep -q "device-id.*does not load below the storage root key at 0x81000001" "$work/list"
check_equal "and no record is made" "" "$(ls "$home/keys")"
find "$store" -type f -exec sha256sum {} + >"$work/after"
check "the store is what it was" sh -c "head -n 1 '$work/before' | cmp - '$work/after'"
tpm_clean "another TPM"
tpm_stop
check_fails "without a TPM, nothing is known of any" "" adopt list "$store" "$base" -

# ---- what is damaged ----

printf 'no database at all, but long enough to be looked at as one' >"$work/put-away"
mkdir "$work/damaged"
cp "$work/put-away" "$work/damaged/tpm2_pkcs11.sqlite3"
check_fails "a store that is none" "cannot read $work/damaged/tpm2_pkcs11.sqlite3: file is not a database" \
    adopt list "$work/damaged" "$base" -
finish
