#!/bin/sh
# What is recorded of a key: a cold signature costs one TPM command, and another key at the handle is noticed.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_evictcontrol
tpm_start
for algorithm in ec-p256 rsa-2048; do
    tpm2_clear 2>/dev/null
    rm -rf "$work/keys"
    "$T2C" key create ldevid --alg $algorithm >/dev/null
    record=$work/keys/81000002.record
    check "$algorithm: key create leaves a record" test -s "$record"
    check_equal "$algorithm: that everybody may read" 644 "$(stat -c %a "$record")"
    tpm2_readpublic -Q -c 0x81000002 -n "$work/name"
    name=$(od -An -tx1 -v "$work/name" | tr -d ' \n')
    openssl asn1parse -in "$record" >"$work/record.txt"
    check "$algorithm: it holds the handle" grep -q 'INTEGER *:81000002' "$work/record.txt"
    check "$algorithm: and the Name that tpm2-tools read" grep -qi "HEX DUMP\]:$name" "$work/record.txt"
    cp "$record" "$work/good.record"

    # Another key at the handle: with the same type, then one of the other type, then none.
    head -c 1000 /dev/zero >"$work/data"
    for other in $algorithm "$([ $algorithm = ec-p256 ] && echo rsa-2048 || echo ec-p256)"; do
        tpm2_create -Q -C 0x81000001 -G "$([ "$other" = ec-p256 ] && echo ecc256 || echo rsa2048)" -u "$work/o.pub" -r "$work/o.priv" \
            -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|decrypt|noda'
        tpm2_load -Q -C 0x81000001 -u "$work/o.pub" -r "$work/o.priv" -c "$work/o.ctx" -n "$work/o.name"
        tpm2_flushcontext -t
        tpm2_evictcontrol -Q -C o -c 0x81000002
        tpm2_evictcontrol -Q -C o -c "$work/o.ctx" 0x81000002
        tpm2_flushcontext -t
        rm -f "$work/sig"
        check_fails "$algorithm: a $other key in its place signs nothing" \
            "another key than the one that was known: its Name is $(od -An -tx1 -v "$work/o.name" | tr -d ' \n'), not $name" \
            ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
        check_equal "$algorithm: and there is no signature" "" "$(cat "$work/sig" 2>/dev/null)"
        check_fails "$algorithm: key pin says that it is another" "another key than the one that was recorded" \
            "$T2C" key pin ldevid
        check_fails "$algorithm: key create too" "another key than the one that was recorded" "$T2C" key create ldevid --alg "$other"
    done
    check "$algorithm: key pin --replace takes it" "$T2C" key pin ldevid --replace
    check "$algorithm: and it signs" ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
    tpm2_evictcontrol -Q -C o -c 0x81000002
    check_fails "$algorithm: none in its place" "nothing sits at handle 0x81000002 any more" \
        ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"

    # Records that are damaged.
    cp "$work/good.record" "$record"
    sed -i '3s/^..../AAAA/' "$record"
    check_fails "$algorithm: a damaged record" "the record of handle 0x81000002 is damaged; record it again" ssl pkey -in tpm2cloud:ldevid -pubout
    echo rubbish >"$record"
    check_fails "$algorithm: no record at all" 'no PEM block "TPM2CLOUD KEY RECORD" in it' ssl pkey -in tpm2cloud:ldevid -pubout
    cp "$work/good.record" "$work/keys/81000003.record"
    check_fails "$algorithm: the record of another handle" "the record of another handle, 0x81000002" \
        ssl pkey -in 'tpm2cloud:;handle=0x81000003' -pubout
done
# After a clear the same names mean new keys, and creating them says so without complaint.
rm -rf "$work/keys"
"$T2C" key create ldevid >/dev/null
tpm2_clear
check_equal "keys made anew are recorded anew" "ldevid: created (ec-p256, 0x81000002)" "$("$T2C" key create ldevid 2>&1)"
check "and sign" ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"

# A key that was opened without a record, and replaced while a program runs.
rm "$work/keys/81000002.record"
check "a key without record signs" ssl dgst -sha256 -sign tpm2cloud:ldevid -out "$work/sig" "$work/data"
check "and gets one" "$T2C" key pin ldevid
# Records cannot be written: the key is made all the same.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    mkdir -m 755 "$work/closed"
    printf 'keys_dir = %s\ncerts_dir = %s\n' "$work/closed" "$work/certs" >"$work/closed.conf"
    chmod 755 "$work"
    chmod 666 "$work/tpm" "$work/tpm.ctrl"
    unprivileged() {
        setpriv --reuid=65534 --regid=65534 --clear-groups env TPM2CLOUD_CONF="$work/closed.conf" "$@"
    }
    tpm2_evictcontrol -Q -C o -c 0x81000002
    check "a directory that cannot be written" unprivileged "$T2C" key create ldevid
    mv "$work/err" "$work/told"
    check "is told" grep -q "ldevid is not recorded: cannot create a file in $work/closed" "$work/told"
    check "and again is no error" unprivileged "$T2C" key create ldevid
else
    skip "a directory that cannot be written" "needs root and setpriv"
fi
tpm_clean "after all that"
finish
