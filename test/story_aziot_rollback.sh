#!/bin/sh
# tpm2cloud aziot migrate, rollback, clean: an operator brings IoT Edge's keys into the TPM, and back.
#
# make check interrupts them at some points, `CRASH_EVERY=1 test/story_aziot_rollback.sh` at all of them.
# shellcheck disable=SC1091,SC2086
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl jq flock
library=$BUILD/.libs/libaziot_keys.so
root=$work/root
home=$root/var/lib/aziot/keyd
keys=$home/keys
certs=$root/var/lib/aziot/certd/certs
tpm_start
"$T2C" key create srk >/dev/null
"$T2C" key create ldevid >/dev/null

device=deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655
edgeca=aziotedgedca-86f154be7ff14480027f0d00c59c223db6d9e4ab0b559fc523cca36a7c973d6d
handles=handlevalidationkey-40f1ca41fe8b50f53e10f3e3a580dcae24087f37aa498ba9903f2612b03e90ba
master=iotedgemasterencryptionid-9088210ae5de3106f57307359ce517da740f93ba17f4312f770c9383ad85b64f
identity=aziotidentitydmasterid-91b92c2c06a5a5dda5fbc9c48b4d428d930b9c1b8b2956a1044ccbc7a266afc9
stem() { # ID
    printf '%s-%s' "$(printf %s "$1" | tr -cd A-Za-z0-9)" "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"
}
in_config=$(stem est-id-mqtt) # by [cert_issuance.mqtt]
unknown=$(stem nobody-says-so)
ldevid=$(stem by-name)

machine() { # a device on the stock library
    rm -rf "$root"
    install -d -m 700 "$keys"
    install -d "$certs" "$root/etc/aziot/keyd/config.d" "$root/etc/aziot/certd" "$root/etc/systemd/system/aziot-keyd.service.d"
    printf '[aziot_keys]\nhomedir_path = "/var/lib/aziot/keyd"\n' >"$root/etc/aziot/keyd/config.toml"
    printf '[preloaded_keys]\nby-name = "tpm2cloud:ldevid"\nby-file = "file:///x.pem"\n' \
        >"$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml"
    printf '[cert_issuance.mqtt]\nmethod = "est"\n[preloaded_certs]\nelsewhere = "file:///elsewhere.pem"\n' >"$root/etc/aziot/certd/config.toml"
    echo '[Service]' >"$root/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf"
    for stem in $device $edgeca $in_config; do
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$keys/$stem.key" 2>/dev/null
        certificate $stem "$keys/$stem.key"
    done
    cp "$certs/$device.cer" "$root/elsewhere.pem"
    for stem in $handles $master $identity $unknown; do
        head -c 32 /dev/urandom >"$keys/$stem.key"
    done
    chmod 644 "$keys"/*
    rm -rf "$work/before"
    cp -a "$root" "$work/before"
}
certificate() { # STEM KEY
    openssl req -x509 -new -key "$2" -subj "/CN=${1%%-*}" -days 30 -out "$certs/$1.cer" 2>/dev/null
}
t2c() { # the listing is kept, for fate
    "$T2C" aziot "$@" --root "$root" >"$work/listing" 2>"$work/messages"
    status=$?
    cat "$work/messages" >&2
    return $status
}
aziot() {
    if [ -n "$PRELOAD" ]; then
        env LD_PRELOAD="$PRELOAD" "$BUILD/aziot_calls" "$library" "$home" calls "$@"
    else
        "$BUILD/aziot_calls" "$library" "$home" calls "$@"
    fi
}
names() { # END: how many files there are in keyd's directory that end so
    find "$keys" -name "*.$1" | wc -l
}
fate() { # NAME: in the last listing
    awk -v "name=$1" '$2 == name { print $1, $3 }' "$work/listing"
}

# ---- what would become of it ----

machine
check "what would become of everything is listed" t2c migrate --dry-run
check_equal "device-id" "key import
certificate keep" "$(fate device-id)"
check_equal "the edge CA" "key import
certificate keep" "$(fate aziot-edged-ca)"
check_equal "the master key" "key import" "$(fate iotedge_master_encryption_id)"
check_equal "the key of a certificate that is named in certd's configuration" "key import" "$(fate est-id-mqtt | head -n 1)"
check_equal "one that nobody names, by its file's name" "key import" "$(fate $unknown)"
check_equal "one that is named by URI" "key preloaded" "$(fate by-name)"
check_equal "and one by file" "key file" "$(fate by-file)"
check "it says which it is" grep -q "^key *device-id *import *a key pair, EC of 256 bits: into the TPM" "$work/listing"
check "nothing was changed" diff -r "$work/before" "$root"
check_equal "a preloaded certificate is listed, too" "certificate keep" "$(fate elsewhere)"
t2c migrate --dry-run --json
check_equal "the same as JSON" '[true,"import","a key pair, EC of 256 bits: into the TPM; its file is set aside"]' "$(jq -c \
    '[.dry_run] + (.rows[] | select(.what == "key" and .name == "device-id") | [.fate, .text])' "$work/listing")"

# ---- migrate ----

cp "$(command -v sleep)" "$root/aziot-keyd"
"$root/aziot-keyd" 600 &
keyd=$!
pids="$pids $keyd"
check_fails "not while keyd runs" "aziot-keyd runs, and may be using the keys: stop it with: iotedge system stop" t2c migrate
check_fails "not by another name of its root either" "aziot-keyd runs" \
    env -C "${root%/*}" "$T2C" aziot migrate --root "${root##*/}/../${root##*/}"
kill $keyd
wait $keyd 2>/dev/null
rm "$root/aziot-keyd"
check_fails "not while another does it" "another tpm2cloud aziot is at work in $home" \
    flock "$home" "$T2C" aziot migrate --root "$root"
check "but a list is to be had" flock "$home" "$T2C" aziot migrate --dry-run --root "$root"
mkdir "$work/nowhere"
check_fails "not where no IoT Edge is" "there is no $work/nowhere/var/lib/aziot/keyd" \
    "$T2C" aziot migrate --root "$work/nowhere"
check "nothing was changed" diff -r "$work/before" "$root"
check "all are brought into the TPM" t2c migrate
check_equal "which is told" "key imported" "$(fate iotedge_master_encryption_id)"
check_equal "seven records" 7 "$(names tpm)"
check_equal "seven files set aside" "7 0" "$(names key.migrated) $(names key)"
check "keyd finds them" aziot sign:device-id hmac:iotedge_master_encryption_id hmac:aziot_identityd_master_id \
    hmac:handle-validation-key
check "once more changes nothing" t2c migrate
check_equal "and says so" "key in-tpm
certificate keep" "$(fate device-id)"

# ---- and back ----

check "what going back would do is listed" t2c rollback --dry-run
check_equal "the pair" "certificate keep
key restore" "$(fate device-id)"
check "back again" t2c rollback
rm -f "$work/before/etc/aziot/keyd/config.d/50-tpm2cloud.toml" \
    "$work/before/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf"
check "all is as it was, but for what made keyd load our library" diff -r "$work/before" "$root"
check "once more changes nothing" t2c rollback
check "really nothing" diff -r "$work/before" "$root"

# ---- keys that were made or replaced in the TPM ----

machine
t2c migrate >/dev/null 2>&1
aziot create:device-id-temp move:device-id-temp:device-id create-key:new >/dev/null 2>&1
pem() { # RECORD
    sed -n '/-----BEGIN TSS2/,/-----END TSS2/p' "$1" | sed 's/.*-----BEGIN/-----BEGIN/; s/KEY-----.*/KEY-----/'
}
pem "$keys/$device.tpm" >"$work/device.pem"
conf_ssl req -x509 -new -key "$work/device.pem" -subj /CN=rotated -days 30 -out "$certs/$device.cer" 2>/dev/null
conf_ssl req -x509 -new -key tpm2cloud:ldevid -subj /CN=ldevid -days 30 -out "$certs/$ldevid.cer" 2>/dev/null
printf '[preloaded_keys]\nby-token = "pkcs11:object=l%%64evid;token=tpm2cloud"\n' >"$root/etc/aziot/keyd/config.d/60-own.toml"
check "back, without a key that was rotated in the TPM" t2c rollback
check_equal "what else names keys of the TPM is to be changed" "key change" "$(fate by-token)"
check_equal "what only our own file named needs nothing" "" "$(fate by-name | grep key)"
check_equal "its certificate is set aside with it" "certificate aside
key lost" "$(fate device-id)"
check "so that certd does not find it" test ! -e "$certs/$device.cer" -a -e "$certs/$device.cer.rolled-back"
check "nor the stock library an older key" test ! -e "$keys/$device.key"
check "which is kept all the same" test -e "$keys/$device.key.migrated" -a -e "$keys/$device.tpm.rolled-back"
check "the certificate of a key that was named by URI is set aside, too" test -e "$certs/$ldevid.cer.rolled-back"
check "other certificates stay" cmp "$work/before${certs#"$root"}/$edgeca.cer" "$certs/$edgeca.cer"
check "and other keys are back" cmp "$work/before${keys#"$root"}/$edgeca.key" "$keys/$edgeca.key"

machine
rm "$keys/$master.key" "$keys/$identity.key"
aziot create-key:iotedge_master_encryption_id >/dev/null 2>&1
t2c migrate >/dev/null 2>&1
cp -a "$root" "$work/with-master"
check_fails "not back when the master key exists only in the TPM" "iotedge_master_encryption_id exists only in the TPM" \
    t2c rollback
check "then nothing was changed" diff -r "$work/with-master" "$root"
check "which --dry-run shows" t2c rollback --dry-run
check "with what it takes" grep -q "^key *iotedge_master_encryption_id .* which --lose allows" "$work/listing"
check_equal "by name" "key lost" "$(fate iotedge_master_encryption_id)"
check "with --lose" t2c rollback --lose
check "other keys are back" test -e "$keys/$device.key" -a ! -e "$keys/$device.tpm"
check "and its record is kept" test -e "$keys/$master.tpm.rolled-back"

# ---- clean ----

machine
t2c migrate >/dev/null 2>&1
check "what would be removed is listed" t2c clean --dry-run
check_equal "and stays" 7 "$(names key.migrated)"
check "what was set aside is removed" t2c clean
check "saying what that does not do" grep -q "flash memory may hold what was in these files for long" "$work/messages"
check_equal "all of it" 0 "$(names key.migrated)"
check "the keys work" aziot sign:device-id hmac:iotedge_master_encryption_id
check "once more there is nothing to remove" t2c clean
check_equal "which is said, and no more" "nothing that was set aside is left in $keys" "$(cat "$work/listing" "$work/messages")"
check_fails "then there is no way back" "exists only in the TPM" t2c rollback

# ---- a master key whose record somebody removed ----

machine
t2c migrate >/dev/null 2>&1
rm "$keys/$master.tpm" "$keys/$device.tpm"
check_fails "that is no key that a service removed: a human is asked" "1 of them could not be brought into the TPM" t2c migrate
check_equal "about it, and about no other" "key failed removed" \
    "$(fate iotedge_master_encryption_id) $(fate device-id | sed -n 's/^key //p')"
check "it says where the key still is" grep -q "rename the newest $keys/$master.key.migrated" "$work/listing"
t2c clean --dry-run
check_equal "no file without a record would be removed" "key kept, key kept" "$(fate iotedge_master_encryption_id), $(fate device-id)"
check "going back brings it back" t2c rollback
check_equal "unproven" "key unproven" "$(fate iotedge_master_encryption_id)"
check "the same" cmp "$work/before${keys#"$root"}/$master.key" "$keys/$master.key"

machine
t2c migrate >/dev/null 2>&1
rm "$keys/$master.tpm" "$keys/$edgeca.tpm"
aziot import:iotedge_master_encryption_id create:aziot-edged-ca >/dev/null 2>&1
check_fails "when keyd was given another, the file of the old one is kept" "1 of them were kept" t2c clean
check_equal "which is told" "key kept" "$(fate iotedge_master_encryption_id)"
check "and kept" test -e "$keys/$master.key.migrated"
check "others, in whose place is another key, are removed" test ! -e "$keys/$edgeca.key.migrated"

# ---- a TPM that was cleared, or is gone ----

machine
t2c migrate >/dev/null 2>&1
TPM2CLOUD_TCTI=swtpm:path=$work/nobody
check_fails "without a TPM nothing that may be the only one of its key is removed" "may be the only one of its key" \
    sh -c "'$T2C' aziot clean --root '$root' >&2"
check "without a TPM it goes back" t2c rollback
check_equal "what could not be proven is told" "key unproven" "$(fate iotedge_master_encryption_id)"
TPM2CLOUD_TCTI=swtpm:path=$work/tpm
check "the keys are back" diff -r "$work/before${certs#"$root"}" "$certs"
for stem in $device $master $identity $handles; do
    check "$stem, too" cmp "$work/before${keys#"$root"}/$stem.key" "$keys/$stem.key"
done

# ---- a record that is damaged ----

machine
t2c migrate >/dev/null 2>&1
head -c 100 "$keys/$device.tpm" >"$work/part" && cat "$work/part" >"$keys/$device.tpm"
check_fails "is not taken for a key in the TPM" "1 of them could not be brought into the TPM" t2c migrate
check_equal "but told" "key failed" "$(fate device-id | head -n 1)"
check "with the reason" grep -q "^key *device-id .*the key record is damaged" "$work/listing"
check "the file that was set aside comes back" t2c rollback
check "the same" cmp "$work/before${keys#"$root"}/$device.key" "$keys/$device.key"

# ---- a storage root key that is not there, or another ----

machine
mv "$work/keys" "$work/keys-away"
check_fails "without a recorded storage root key nothing is begun" "to make it: tpm2cloud key create srk" t2c migrate
check "nothing was changed" diff -r "$work/before" "$root"
check_fails "nor is it promised" "no key can be brought into the TPM" t2c migrate --dry-run
check_equal "though the list is there" "key import" "$(fate device-id | head -n 1)"
mv "$work/keys-away" "$work/keys"
cp "$work/keys/81000001.record" "$work/srk.record"
printf 'not this one' >"$work/keys/81000001.record"
check_fails "a record that is damaged" "no key can be brought into the TPM" t2c migrate
cp "$work/srk.record" "$work/keys/81000001.record"
TPM2CLOUD_TCTI=swtpm:path=$work/nobody
check_fails "without a TPM it is told once" "no key can be brought into the TPM: no TPM at" t2c migrate
check_equal "and not for each key" "" "$(cat "$work/listing")"
TPM2CLOUD_TCTI=swtpm:path=$work/tpm
check "nothing was changed" diff -r "$work/before" "$root"

# ---- interrupted ----

# What must be the same however often it was interrupted: all but records, of which there need only be the same.
tree_of() { # DIR
    (cd "$1" && find . -type f ! -name '*.tpm' -exec sha256sum {} + | sort -k 2 && find . -name '*.tpm' | sort)
}
# interrupted VERB FROM WANT HOW...: at operations that change a file, of a machine that is like FROM; then once more.
interrupted() {
    verb=$1 from=$2 want=$3
    shift 3
    lost='' other='' point=1
    rm -rf "$root"
    cp -a "$from" "$root"
    "$BUILD/points" --root "$root" --kinds file "$T2C" aziot $verb --root "$root" >/dev/null 2>"$work/points"
    points=$(sed -n 's/^points: //p' "$work/points")
    while [ $point -le "$points" ]; do
        rm -rf "$root"
        cp -a "$from" "$root"
        "$BUILD/points" --root "$root" --kinds file --at $point "$@" "$T2C" aziot $verb --root "$root" >/dev/null 2>&1
        for stem in $device $edgeca $master $identity; do
            [ -e "$keys/$stem.key" ] || [ -e "$keys/$stem.tpm" ] || lost="$lost $point"
        done
        t2c $verb 2>/dev/null
        tree_of "$root" | cmp -s - "$want" || other="$other $point"
        point=$((point + ${CRASH_EVERY:-10}))
    done
    check "$verb, $*: there are $points operations" [ "$points" -gt 20 ]
    check_equal "no key is lost" "" "$lost"
    check_equal "once more finishes it" "" "$other"
}
"$BUILD/points" --root "$work" true 2>/dev/null
if [ $? -ne 77 ] && [ -z "$PRELOAD" ]; then
    machine
    aziot create-key:new >/dev/null 2>&1
    cp -a "$root" "$work/before-all"
    t2c migrate >/dev/null 2>&1
    conf_ssl req -x509 -new -key tpm2cloud:ldevid -subj /CN=ldevid -days 30 -out "$certs/$ldevid.cer" 2>/dev/null
    cp "$certs/$ldevid.cer" "$work/before-all${certs#"$root"}"
    cp -a "$root" "$work/migrated"
    tree_of "$root" >"$work/want-migrated"
    t2c rollback >/dev/null 2>&1
    tree_of "$root" >"$work/want-back"
    interrupted migrate "$work/before-all" "$work/want-migrated" --kill before
    interrupted rollback "$work/migrated" "$work/want-back" --kill before
    interrupted rollback "$work/migrated" "$work/want-back" --fail EIO
else
    skip "interrupted" "ptrace is not allowed here, or a sanitizer would be traced"
fi

# ---- what cannot be done ----

machine
head -c 32 /dev/urandom >"$keys/$(printf 'a\033[2Jb').key"
t2c migrate --dry-run
check "a terminal does nothing that the name of a file says" grep -q '^key *a?\[2Jb ' "$work/listing"
t2c migrate --dry-run --json
check "nor a program that reads JSON" jq -e '[.rows[].name] | index("a?[2Jb")' "$work/listing"
machine
: >"$keys/$identity.key"
check_fails "an empty file is told" "1 of them could not be brought into the TPM" t2c migrate
check_equal "and stays" "key failed" "$(fate aziot_identityd_master_id)"
check "as it is" test -e "$keys/$identity.key" -a ! -e "$keys/$identity.tpm"
check_equal "and keeps no other from it" 6 "$(names tpm)"
if [ "$(id -u)" = 0 ]; then
    machine
    chown -R 4711:4712 "$home"
    t2c migrate >/dev/null 2>&1
    check_equal "records belong to whom the files did" "4711:4712" "$(stat -c %u:%g "$keys/$device.tpm")"
    check_equal "files that were set aside, too" "4711:4712" "$(stat -c %u:%g "$keys/$device.key.migrated")"
    t2c rollback >/dev/null 2>&1
    check_equal "and those that are back" "4711:4712" "$(stat -c %u:%g "$keys/$device.key")"
else
    skip "records belong to whom the files did" "not root"
    skip "files that were set aside, too" "not root"
    skip "and those that are back" "not root"
fi
check_fails "an option that is not" "unknown option --lose" t2c migrate --lose
check_fails "a verb that is not" "\"aziot\" wants a verb" "$T2C" aziot leave
machine
tpm2_evictcontrol -Q -C o -c 0x81000001
check_fails "a storage root key that was removed" "nothing sits at handle 0x81000001 any more" t2c migrate
tpm2_createprimary -Q -C o -G ecc -c "$work/other.ctx"
tpm2_evictcontrol -Q -C o -c "$work/other.ctx" 0x81000001
tpm2_flushcontext -t
check_fails "or exchanged" "handle 0x81000001 holds another key than the one that was known" t2c migrate
tpm_clean "migrate and rollback"
finish
