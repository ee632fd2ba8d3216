#!/bin/sh
# What libaziot_keys logs: one line for each failure, with the key, the operation, the cause and what to do, so that whoever reads
# it at night can act; and docs/aziot.md has a row for each of them.
# shellcheck disable=SC1091,SC2016,SC2086
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_clear tpm2_testparms
library=$BUILD/.libs/libaziot_keys.so
home=$work/home
document=$srcdir/docs/aziot.md
chmod 755 "$work"
mkdir "$home"

aziot() { # HOMEDIR ARGUMENTS...: see test/aziot_calls.c
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD ASAN_OPTIONS=detect_leaks=0 $as_user "$BUILD/aziot_calls" "$library" "$@"
    else
        $as_user "$BUILD/aziot_calls" "$library" "$@"
    fi
}
as_user=
# told WHAT LEVEL RC START REASON ARGUMENTS...: the call fails with RC and one line of LEVEL that begins with START, what could not be
# done, and has REASON, which stands in the document, too. The line stays in $work/line.
told() {
    about=$1 level=$2 rc=$3 start=$4 reason=$5
    shift 5
    aziot "$@" >"$work/answers" 2>"$work/line"
    check_equal "$about: one line" 1 "$(wc -l <"$work/line")"
    check "$about: what failed" grep -qF -- "<$level>libaziot_keys: $start: " "$work/line"
    check "$about: why, and what to do" grep -qF -- "$reason" "$work/line"
    check_equal "$about: RC" "rc $rc" "$(tail -n 1 "$work/answers")"
    check "$about: docs/aziot.md has it" grep -qF -- "$reason" "$document"
    sed 's/^/# /' "$work/line"
    cat "$work/line" >>"$work/lines"
}
names() { # TEXT: in the last line
    check "$about: which one" grep -qF -- "$1" "$work/line"
}

# ---- the TPM cannot be reached ----

told "no TPM" 3 2 "device-id: cannot create the key pair" "is there a TPM, and is it enabled in the firmware?" \
    "$home" "tpm2cloud_tcti=device:$work/none" calls create:device-id
told "no resource manager" 3 2 "device-id: cannot create the key pair" 'set tcti = in /etc/tpm2cloud/tpm2cloud.conf' \
    "$home" "tpm2cloud_tcti=swtpm:path=$work/none" calls create:device-id

tpm_start
: >"$work/device"
chmod 600 "$work/device"
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=nobody --regid=nogroup --clear-groups "$BUILD/aziot_calls" "$library" /x calls 2>/dev/null; then
    as_user="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    mkdir "$work/foreign"
    unset TPM2CLOUD_TCTI
    told "not in the group tss" 3 2 "device-id: cannot create the key pair" "run as root or as a member of the group tss" \
        "$work/foreign" "tpm2cloud_tcti=device:$work/device" calls create:device-id
    chmod 666 "$work/tpm" "$work/tpm.ctrl"
    told "a home of another" 3 2 "device-id: cannot create the key pair" "homedir_path and all below must belong to keyd's user" \
        "$work/foreign" "tpm2cloud_tcti=swtpm:path=$work/tpm" calls create:device-id
    export TPM2CLOUD_TCTI="$TPM2TOOLS_TCTI"
    as_user=
else
    skip "not in the group tss" "this is not root, who could become nobody"
fi

# ---- what must be made first ----

told "no record of the storage root key" 3 2 "sas: cannot create the key" \
    "which was not recorded; record it with: tpm2cloud key pin srk" "$home" calls create-key:sas
"$T2C" key create srk >/dev/null
"$T2C" key create ldevid >/dev/null
"$T2C" key create pump >/dev/null
told "a name without a key" 5 1 "device-id: cannot load the key pair" "create it with: tpm2cloud key create" \
    "$home" preloaded_key:device-id=tpm2cloud:nobody calls load:device-id
names "tpm2cloud key create nobody"
told "a key that is not there yet" 5 1 "device-id: cannot load the key pair" "there is no such key yet" "$home" calls load:device-id
if [ -d "$work/foreign" ]; then
    as_user="setpriv --reuid=nobody --regid=nogroup --clear-groups"
    chmod 700 "$work/keys"
    chown nobody "$work/foreign"
    told "not in the group tpm2cloud: a name" 3 2 "device-id: cannot load the key pair" "keys are for root and the group tpm2cloud" \
        "$work/foreign" preloaded_key:device-id=tpm2cloud:pump calls load:device-id
    told "not in the group tpm2cloud: the record" 3 2 "sas: cannot create the key" "its record is for root and the group tpm2cloud" \
        "$work/foreign" calls create-key:sas
    as_user=
fi

# ---- keyd's configuration ----

told "a misspelt parameter" 3 1 "tpm2cloud_tcit: cannot take this from keyd's configuration" \
    "there are tpm2cloud, tpm2cloud_rsa and tpm2cloud_tcti" "$home" tpm2cloud_tcit=x calls
told "a token without a name" 3 1 "preloaded_key:device-id: cannot take this from keyd's configuration" \
    "a key of the TPM is pkcs11:token=tpm2cloud;object=NAME" "$home" 'preloaded_key:device-id=pkcs11:object=x' calls
told "a token of others" 3 2 "device-id: cannot load the key pair" "and was not brought over: tpm2cloud aziot migrate" \
    "$home" 'preloaded_key:device-id=pkcs11:token=edge;object=x' calls load:device-id
told "a path for a URI" 3 1 "preloaded_key:device-id: cannot take this from keyd's configuration" \
    "is neither tpm2cloud:NAME nor file:///PATH" "$home" preloaded_key:device-id=/var/secrets/key.pem calls
told "no home" 3 1 "homedir_path: cannot take this from keyd's configuration" "is not an absolute path" "$home" homedir_path=keyd calls

# ---- what keyd may not do ----

told "a named key is not removed" 3 1 "device-id: cannot remove the key pair" "which keyd may use and not remove" \
    "$home" preloaded_key:device-id=tpm2cloud:ldevid calls delete:device-id

told "nothing is moved away" 3 1 "device-id: cannot move the key pair" "which keyd may use and not" \
    "$home" preloaded_key:device-id=tpm2cloud:ldevid calls move:device-id:other
told "nor put in its place" 3 1 "device-id: cannot import the key" "which keyd may use and not" \
    "$home" preloaded_key:device-id=tpm2cloud:ldevid calls import:device-id
if tpm2_testparms rsa4096 >/dev/null 2>&1; then
    skip "no algorithm" "this TPM has RSA of 4096 bits"
    echo "this TPM has none of the algorithms" >>"$work/lines"
else
    told "no algorithm" 3 1 "other: cannot create the key pair" "this TPM has none of the algorithms" "$home" calls create:other:rsa-4096
fi

# ---- files ----

check "keys are made" aziot "$home" calls create:device-id create-key:sas create-key:handle-validation-key
record=$(find "$home/keys" -name 'deviceid-*.tpm')
cp "$record" "$work/good"
head -c 50 "$work/good" >"$record"
told "a damaged record" 3 2 "device-id: cannot load the key pair" \
    "the key record is damaged, or not one; restore it, or remove it to have another key made" "$home" calls load:device-id
names "$record"
printf '\241gversion\002' >"$record"
told "a newer record" 3 2 "device-id: cannot load the key pair" "install the tpm2cloud that wrote it" "$home" calls load:device-id
cp "$work/good" "$record"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 -pass pass:x -out "$work/locked.pem" 2>/dev/null
told "the token of the stock library" 5 0 "pkcs11_base_slot" \
    "keys of that token are brought over by: tpm2cloud aziot migrate" "$home" pkcs11_base_slot=pkcs11:token=edge?pin-value=4321 calls
check_fails "its PIN is not told" "" grep -q 4321 "$work/line"
told "a symmetric key that becomes a pair" 4 0 "was-sas" "is a symmetric key, and becomes a key pair" \
    "$home" calls create-key:was-sas create:was-sas
check_equal "the old one is kept" 1 "$(find "$home/keys" -name 'wassas-*.tpm.replaced' | grep -c .)"
head -c 32 /dev/urandom >"$work/sas.bytes"
cp "$work/sas.bytes" "$work/sas.before"
check_equal "one in a preloaded file stays one" "rc 1" \
    "$(aziot "$home" "preloaded_key:sas-file=file://$work/sas.bytes" calls create:sas-file 2>/dev/null | tail -n 1)"
check "as it was" cmp "$work/sas.bytes" "$work/sas.before"
told "a file with a passphrase" 3 2 "est-id: cannot load the key pair" "has no private key that opens without a passphrase" \
    "$home" "preloaded_key:est-id=file://$work/locked.pem" calls load:est-id
"$BUILD/points" --root "$home" --kinds file true 2>/dev/null
if [ $? -ne 77 ] && [ -z "$PRELOAD" ]; then
    as_user="$BUILD/points --root $home --kinds file --at 1 --fail ENOSPC --and-on"
    aziot "$home" calls create:other 2>"$work/line" >"$work/answers"
    check "a disk that is full: why" grep -qF "No space left on device" "$work/line"
    check "what failed" grep -qF "<3>libaziot_keys: other: cannot create the key pair: " "$work/line"
    sed 's/^/# /' "$work/line"
    cat "$work/line" >>"$work/lines"
    as_user=
else
    skip "a disk that is full" "ptrace is not allowed here, or a sanitizer would be traced"
    echo "No space left on device" >>"$work/lines"
fi
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null \
    >"$home/keys/estid-c45f3e96a312cc524fecceddbc40dfc2aa789eae911d8bc7dd4eda19b93be900.key"
aziot "$home" calls load:est-id >"$work/answers" 2>"$work/line"
check "a key that was taken over: is told" grep -q "^<5>libaziot_keys: est-id: is in the TPM now; .* tpm2cloud aziot clean$" "$work/line"
cat "$work/line" >>"$work/lines"

# ---- files of the stock library that are not taken over ----

stock_file() { # ID: the stock library's file of it
    echo "$home/keys/$(printf %s "$1" | tr -dc A-Za-z0-9)-$(printf %s "$1" | sha256sum | cut -d" " -f1).key"
}
head -c 32 /dev/urandom >"$(stock_file iotedge_master_encryption_id)"
aziot "$home" calls load-key:iotedge_master_encryption_id hmac:iotedge_master_encryption_id >"$work/first" 2>/dev/null
master=$(find "$home/keys" -name 'iotedgemaster*.tpm')
rm "$master"
told "a master key whose record is gone" 3 2 "iotedge_master_encryption_id: cannot create the key" \
    "and with another key nothing can be read that was made with this one" "$home" calls create-enc:iotedge_master_encryption_id
mv "${master%.tpm}.key.migrated" "${master%.tpm}.key"
aziot "$home" calls create-enc:iotedge_master_encryption_id hmac:iotedge_master_encryption_id >"$work/again" 2>/dev/null
check_equal "it comes back by what the line says" "$(grep hmac "$work/first")" "$(grep hmac "$work/again")"
: >"$(stock_file empty)"
told "an empty file" 3 2 "empty: cannot load the key" "is empty: bring it back from a backup, or remove it" "$home" calls load-key:empty
names "$(stock_file empty)"
echo "-----BEGIN PRIVATE KEY-----" >"$(stock_file half)"
told "half a file" 3 2 "half: cannot load the key pair" "no private key can be read from" "$home" calls load:half
names "$(stock_file half)"
head -c 32 /dev/urandom >"$(stock_file raw)"
told "a symmetric key for a pair" 3 2 "raw: cannot load the key pair" "is no key pair" "$home" calls load:raw
aziot "$home" calls create:twice >/dev/null 2>&1
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$(stock_file twice)" 2>/dev/null
told "a file and a record that differ" 3 2 "twice: cannot load the key pair" "are different keys, and both could be needed" \
    "$home" calls load:twice
names "$(stock_file twice)"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out "$(stock_file koblitz)" 2>/dev/null
told "a key of no TPM" 3 2 "koblitz: cannot load the key pair" "is not one that the TPM takes" "$home" calls load:koblitz
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$(stock_file rsa)" 2>/dev/null

# ---- the TPM answers otherwise ----

# answering FAULT WHAT ...: told, with a TPM that answers so; see test/tcti_count.c.
answering() {
    export T2C_TCTI_FAULT="$1" TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:$TPM2TOOLS_TCTI"
    shift
    told "$@"
    unset T2C_TCTI_FAULT
    export TPM2CLOUD_TCTI="$TPM2TOOLS_TCTI"
}
answering 156:2c4:1000 "a key that this TPM cannot have" 3 2 "rsa: cannot load the key pair" "the TPM does not take the private key" \
    "$home" calls load:rsa
answering 157:921:1000 "lockout" 3 2 "device-id: cannot sign" "the TPM is in dictionary-attack lockout" "$home" calls sign:device-id
answering 157:902:1000 "no slot" 3 2 "device-id: cannot sign" "all object slots are taken: use a resource manager (device:/dev/tpmrm0)" \
    "$home" calls sign:device-id
answering 157:100:100000 "not started" 3 2 "device-id: cannot sign" "the TPM was not started up: run tpm2_startup -c" \
    "$home" calls sign:device-id
tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -p secret -u "$work/p.pub" -r "$work/p.priv" \
    -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
tpm2_flushcontext -t
tpm2_encodeobject -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -o "$work/keys/protected.pem" >/dev/null
tpm2_flushcontext -t
tpm2_flushcontext -l
echo wrong >"$work/wrong"
told "an authorization value that is missing" 3 2 "device-id: cannot sign" "wants an authorization value" \
    "$home" preloaded_key:device-id=tpm2cloud:protected calls sign:device-id
told "or wrong" 3 2 "device-id: cannot sign" "the authorization value is wrong" \
    "$home" "preloaded_key:device-id=tpm2cloud:protected?auth-source=file:$work/wrong" calls sign:device-id
tpm2_load -Q -C 0x81000001 -u "$work/p.pub" -r "$work/p.priv" -c "$work/p.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c 0x81000002
tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81000002
tpm2_flushcontext -t
told "another key at its handle" 3 2 "device-id: cannot sign" "if that is meant, record it with: tpm2cloud key pin NAME --replace" \
    "$home" preloaded_key:device-id=tpm2cloud:ldevid calls sign:device-id

# ---- another TPM, or this one cleared ----

tpm2_clear -Q -c p 2>/dev/null || tpm2_clear -Q
told "no storage root key" 3 2 "device-id: cannot sign" "the parent key is missing; create it with: tpm2cloud key create srk" \
    "$home" calls sign:device-id
"$T2C" key create srk >/dev/null 2>&1
"$T2C" key pin srk --replace >/dev/null
told "a key of before the TPM was cleared" 3 2 "device-id: cannot sign" \
    "the key belongs to another TPM, or this TPM was cleared since it was made" "$home" calls sign:device-id
names "$record"
told "a symmetric one" 3 2 "sas: cannot sign" "the key belongs to another TPM, or this TPM was cleared since it was made" \
    "$home" calls hmac:sas
told "an identity that is gone" 3 2 "device-id: cannot sign" "the key was removed, or the TPM was cleared" \
    "$home" preloaded_key:device-id=tpm2cloud:ldevid calls sign:device-id
check "the record stays" cmp "$work/good" "$record"
tpm_clean "all"

# ---- and the document has no line that does not come ----

awk -F '|' '/^## / { here = /What it logs/ } here { n = split($2, part, "`"); for (i = 2; i < n; i += 2) print part[i] }' \
    "$document" | sed 's/ NAME$//' >"$work/rows"
check "the document's rows are found" [ "$(wc -l <"$work/rows")" -gt 25 ]
while read -r row; do
    check "it comes: $row" grep -qF -- "$row" "$work/lines"
done <"$work/rows"
finish
