#!/bin/sh
# tpm2cloud aziot migrate and rollback of a device whose keys are in a token of tpm2-pkcs11: they go on in the TPM, without the
# token, and the token is there to go back to.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/token.sh"
need swtpm openssl tpm2_ptool pkcs11-tool
# Nothing that could be installed helps.
[ "$(getconf LONG_BIT)" -ne 32 ] || { echo "1..0 # SKIP OpenSC of 32 bits aborts when it reads an EC key"; exit 0; }
module=$(token_module)
[ -n "$module" ] || skip_all "tpm2-pkcs11 is not installed"
root=$work/root
home=$root/var/lib/aziot/keyd
keys=$home/keys certs=$root/var/lib/aziot/certd/certs
tpm_start
"$T2C" key create srk >/dev/null
token_tools "$work/store"
make() { # VERB ARGUMENTS...
    ptool "$@" || skip_all "tpm2_ptool $1: $(tail -n 1 "$work/ptool.log")"
}
make init --primary-handle=0x81000001
make addtoken --pid 1 --sopin 5678 --userpin 1234 --label edge
make addkey --label edge --userpin 1234 --algorithm ecc256 --key-label device
make addkey --label edge --userpin 1234 --algorithm ecc256 --key-label est-id
make addkey --label edge --userpin 1234 --algorithm aes256 --key-label iotedge_master_encryption_id
for label in device est-id; do
    env -u OPENSSL_MODULES TSS2_LOG=all+NONE pkcs11-tool --module "$module" --token-label edge --read-object \
        --type pubkey --label $label -o "$work/$label.der" >/dev/null 2>&1
done
stem() { # ID
    printf '%s-%s' "$(printf %s "$1" | tr -cd A-Za-z0-9)" "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"
}
device=$(stem device-id) gone=$(stem gone) est=$(stem est-id) ca=$(stem ca)
machine() {
    rm -rf "$root"
    install -d -m 700 "$home"
    install -d "$certs" "$root/etc/aziot/keyd"
    cat >"$root/etc/aziot/keyd/config.toml" <<TOML
[aziot_keys]
homedir_path = "/var/lib/aziot/keyd"
pkcs11_lib_path = "$module"
pkcs11_base_slot = "pkcs11:token=edge?pin-value=1234"
[preloaded_keys]
device-id = "pkcs11:token=edge;object=device?pin-value=1234"
gone = "pkcs11:token=edge;object=gone?pin-value=1234"
TOML
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -subj /CN=ca \
        -out "$certs/$ca.cer" 2>/dev/null
    cp "$certs/$ca.cer" "$certs/$gone.cer"
    for name in "$device device" "$est est-id"; do
        openssl req -new -key "$work/ca.key" -subj /CN=x 2>/dev/null | openssl x509 -req -CA "$certs/$ca.cer" -CAkey \
            "$work/ca.key" -force_pubkey "$work/${name#* }.der" -keyform DER -out "$certs/${name% *}.cer" 2>/dev/null
    done
    rm -rf "$work/before"
    cp -a "$root" "$work/before"
}
t2c() { # the listing is kept, for fate
    "$T2C" aziot "$@" --root "$root" >"$work/listing" 2>"$work/messages"
    status=$?
    cat "$work/messages" >&2
    return $status
}
fate() { # NAME: in the last listing
    awk -v "name=$1" '$2 == name { print $1, $3 }' "$work/listing"
}
aziot() {
    stock "$BUILD/aziot_calls" "$BUILD/.libs/libaziot_keys.so" "$home" \
        'preloaded_key:device-id=pkcs11:token=edge;object=device' 'preloaded_key:gone=pkcs11:token=edge;object=gone' calls "$@"
}
printf '\001\002\003' >"$work/digest"
head -c 29 /dev/zero >>"$work/digest"
verifies() { # LABEL ID: its signature, with the public key that the token has
    aziot "sign:$2" 2>/dev/null | sed -n 's/^sign //p' | tr -d '\n' | sed 's/../\\x&/g' | xargs -0 printf %b >"$work/sig"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/$1.der" -in "$work/digest" -sigfile "$work/sig"
}

machine
check_fails "before, a preloaded key is not there" "and was not brought over: tpm2cloud aziot migrate" \
    aziot load:device-id
check_equal "which is no missing key" 2 "$(aziot load:device-id 2>/dev/null | sed -n '$s/^rc //p')"
check_fails "nor is one made" "and was not brought over" aziot create:device-id
check "what would become of them is listed" t2c migrate --dry-run
check_equal "the preloaded key" "key adopt" "$(fate device-id | head -n 1)"
check_equal "the one of the base slot" "key adopt" "$(fate est-id | head -n 1)"
check_equal "one that is not in the token" "certificate aside
key aside" "$(fate gone | sort -u | head -n 2)"
check_equal "one that no key can stand in for" "key failed" "$(fate iotedge_master_encryption_id)"
check "nothing was changed" diff -r "$work/before" "$root"
check "no PIN is shown" sh -c "! grep -q 1234 '$work/listing'"
cp -a "$work/store" "$work/store.before"
check_fails "brought over, but for that one" "1 of them could not be brought into the TPM" t2c migrate
check_equal "adopted" "key adopted" "$(fate device-id | head -n 1)"
check "the preloaded key signs" verifies device device-id
check "the one of the base slot, too" verifies est-id est-id
check "its certificate is the same" cmp "$work/before${certs#"$root"}/$device.cer" "$certs/$device.cer"
check "where the key was not to be had there is another one" aziot load:gone sign:gone
check "whose certificate is set aside" test ! -e "$certs/$gone.cer" -a -e "$certs/$gone.cer.migrated"
check_fails "a preloaded key is not removed" "which keyd may use and not remove" aziot delete:device-id
check_fails "nothing is moved onto it" "which keyd may use and not move" aziot create:x move:x:device-id
check_fails "once more changes nothing" "1 of them could not" t2c migrate
check_equal "and says so" "key in-tpm" "$(fate device-id | head -n 1)"
check "the store is what it was" diff -r "$work/store.before" "$work/store"

check "back again" t2c rollback
check_equal "to the token" "key token" "$(fate device-id | grep key)"
check "certd has its certificates" diff -r "$work/before${certs#"$root"}" "$certs"
check_equal "and keyd no records" "" "$(find "$keys" -name '*.tpm')"
check "once more changes nothing" t2c rollback

machine
mkdir "$work/elsewhere"
ln -s "$work/elsewhere" "$keys"
check_fails "where keys leads elsewhere" "$keys, which has to be a directory, and no link to one" t2c migrate
check_equal "and nothing is written there" "" "$(ls "$work/elsewhere")"
rm "$keys"
if [ "$(id -u)" -eq 0 ]; then
    chown 4711:4712 "$home"
    mkdir "$keys" # and killed
    t2c migrate >/dev/null 2>&1
    check_equal "a directory that a killed one left is keyd's" "4711:4712" "$(stat -c %u:%g "$keys")"
    check_equal "and so is what is in it" "4711:4712" "$(stat -c %u:%g "$keys/$device.tpm")"
else
    skip "a directory that a killed one left is keyd's" "not root"
    skip "and so is what is in it" "not root"
fi

machine
sed -i 's/?pin-value=1234//' "$root/etc/aziot/keyd/config.toml"
check_fails "without a PIN" "could not be brought into the TPM" t2c migrate
check_equal "keys of a token stay there" "key pin" "$(fate device-id | head -n 1)"
check "and their certificates, too" cmp "$work/before${certs#"$root"}/$device.cer" "$certs/$device.cer"
printf 1234 >"$work/pin"
t2c migrate --pin-from "file:$work/pin" 2>/dev/null
check_equal "a PIN from elsewhere" "key adopted" "$(fate device-id | head -n 1)"
check "they sign" verifies device device-id
tpm_clean "tokens"
finish
