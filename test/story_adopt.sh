#!/bin/sh
# A device that the scripts of iotedge-tpm2cloud provisioned, by their own commands, works by name; and the profile of that name
# makes the same layout.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_createek tpm2_policysecret tpm2_nvdefine
tpm_start
cd "$work" || exit 1

# What their scripts run; the sessions and objects that they leave behind are flushed.
ek_key_create() {
    tpm2_createek -c 0x81010001 -G rsa -u ek.pub
}
idevid_key_create() {
    tpm2_startauthsession -S session.ctx --policy-session &&
        tpm2_policysecret -S session.ctx -c 0x4000000B &&
        tpm2_create -C 0x81010001 -G rsa2048 -g sha256 \
            -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign|decrypt" \
            -u idevid.pub -r idevid.priv -P session:session.ctx -c idevid.ctx &&
        tpm2_flushcontext --transient-object &&
        tpm2_startauthsession -S session.ctx --policy-session &&
        tpm2_policysecret -S session.ctx -c 0x4000000B &&
        tpm2_load -C 0x81010001 -u idevid.pub -r idevid.priv -c idevid.ctx -P session:session.ctx &&
        tpm2_evictcontrol -c idevid.ctx 0x81020000
}
ldevid_key_create() {
    tpm2_createprimary -C o -g sha256 -G rsa -c srk.ctx &&
        tpm2_evictcontrol -C o -c srk.ctx 0x81000001 &&
        tpm2_flushcontext -t &&
        tpm2_create -C 0x81000001 -g sha256 -G rsa -r ldevid.key -u ldevid.pub &&
        tpm2_load -C 0x81000001 -u ldevid.pub -r ldevid.key -n ldevid.name -c ldevid.ctx &&
        tpm2_evictcontrol -C o -c ldevid.ctx 0x81000002
}
write_nv() {
    openssl x509 -in idevid.crt -outform der -out idevid.der &&
        tpm2_nvdefine 0x01C90000 -C p -s "$(stat -c %s idevid.der)" -a "ppread|ppwrite|platformcreate|write_stclear" &&
        tpm2_nvwrite 0x01C90000 -C p -i idevid.der
}
flushed() {
    "$@"
    code=$?
    tpm2_flushcontext -t
    tpm2_flushcontext -l
    return "$code"
}
area() { # HANDLE: its public area but for what differs from key to key
    tpm2_readpublic -c "$1" | grep -v '^name: \|^qualified name: \|^rsa: '
}

check "ek-key-create.sh" flushed ek_key_create
check "idevid-key-create.sh" flushed idevid_key_create
check "ldevid-key-create.sh" flushed ldevid_key_create
for handle in 0x81010001 0x81020000 0x81000002; do
    area $handle >"theirs.$handle"
done
tpm2_readpublic -c 0x81010001 | grep '^rsa: ' >theirs.ek

# ---- keys ----
check_equal "key list has them by name" "ek rsa-2048 0x81010001
idevid rsa-2048 0x81020000
ldevid rsa-2048 0x81000002
srk rsa-2048 0x81000001" "$("$T2C" key list | awk 'NR > 1 { print $1, $2, $3 }' | sort)"
for name in ek srk idevid ldevid; do
    check_equal "$name is there, and is not made again" "exists" "$("$T2C" key create $name | sed 's/.*: \([a-z]*\) .*/\1/')"
done
openssl genpkey -algorithm EC -pkeyopt group:P-256 -out ca.key 2>err
openssl req -x509 -new -key ca.key -subj /CN=ca -days 1825 -out ca.pem
for name in idevid ldevid; do
    check "$name: a request" "$T2C" csr $name --subject "/CN=$name" --out $name.csr
    check "$name: openssl verifies it" openssl req -in $name.csr -noout -verify
    openssl x509 -req -in $name.csr -days 365 -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.crt 2>err
    check "$name: a request by openssl itself" ssl req -new -key tpm2cloud:$name -subj "/CN=$name" -out $name.req.csr
    openssl req -in $name.csr -noout -pubkey >$name.pem
    printf 'a message of 32 bytes, or nearly.' | head -c 32 >message
    check "$name: pkeyutl signs" ssl pkeyutl -sign -inkey tpm2cloud:$name -pkeyopt digest:sha256 -in message -out sig
    check "$name: openssl verifies that" openssl pkeyutl -verify -pubin -inkey $name.pem -pkeyopt digest:sha256 \
        -in message -sigfile sig
    openssl pkeyutl -encrypt -pubin -inkey $name.pem -pkeyopt rsa_padding_mode:oaep -in message -out secret
    check "$name: pkeyutl decrypts" ssl pkeyutl -decrypt -inkey tpm2cloud:$name -pkeyopt rsa_padding_mode:oaep -in secret -out plain
    check "$name: to what was encrypted" cmp message plain
done

# ---- the certificate ----
check "cert-create.sh .. write_nv" write_nv
check_equal "which only the platform reads" "friendly: ppwrite|write_stclear|ppread|written|platformcreate" \
    "$(tpm2_nvreadpublic 0x01C90000 | sed -n 's/^ *\(friendly: pp\)/\1/p')"
check_equal "cert show finds it" "place: NV index 0x01c90000" "$("$T2C" cert show idevid | grep '^place')"
check "cert verify has nothing against it" "$T2C" cert verify idevid --trust ca.pem
"$T2C" cert export idevid --out exported.pem
check "cert export gives it" cmp idevid.crt exported.pem
in_background openssl s_server -accept 127.0.0.1:0 -cert ca.pem -key ca.key -CAfile ca.pem -Verify 2 -verify_return_error -www \
    >"$work/server.log" 2>&1
wait_for 10 grep -q '^ACCEPT' "$work/server.log"
port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$work/server.log")
page() { # KEY AND CERTIFICATE
    printf 'GET / HTTP/1.0\r\n\r\n' | ssl s_client -connect "127.0.0.1:$port" -key "$1" -cert "$2" -CAfile ca.pem \
        -verify_return_error -ign_eof -quiet >"$work/page" 2>"$work/client.log"
    grep -q 'Verify return code: 0' "$work/page"
}
check "s_client with key and certificate by name" page tpm2cloud:idevid tpm2cloud:idevid
"$T2C" cert import ldevid ldevid.crt >/dev/null
check "and the LDevID's" page tpm2cloud:ldevid tpm2cloud:ldevid

tpm2_changeauth -Q -c p theirs
printf theirs >platform.auth
check_fails "where firmware has the platform, it is said what is needed" \
    "NV index 0x01c90000: cannot read byte 0: the TPM's platform hierarchy has an authorization value that nothing here gives" \
    "$T2C" cert show idevid
check_fails "and another way out" "put a copy that all may read beside it: tpm2cloud cert import idevid FILE" \
    "$T2C" cert export idevid
check "with its value it is read" env TPM2CLOUD_PLATFORM_AUTH=file:platform.auth "$T2C" cert verify idevid --trust ca.pem
check "the other way out" "$T2C" cert import idevid exported.pem
check_equal "is read by all" "place: NV index 0x01c90200" "$("$T2C" cert show idevid | grep '^place')"

# ---- their storage root key as a parent ----
printf 'a value' >device.auth
check "a key below it" "$T2C" key create device-id
check "and one with an authorization value" "$T2C" key create guarded --auth "file:$work/device.auth"
check "sign" sh -c "'$T2C' csr device-id --subject /CN=x | openssl req -noout -verify"
check "both" sh -c "'$T2C' csr guarded --subject /CN=x --auth 'file:$work/device.auth' | openssl req -noout -verify"
tpm_clean "a device that was adopted"

# ---- the profile, on the same TPM with nothing in it ----
tpm2_changeauth -Q -c p -p theirs ''
tpm2_clear -c p
tpm2_nvundefine -Q -C p 0x01C90000
rm -rf keys certs
echo "profile = iotedge-tpm2cloud" >>"$TPM2CLOUD_CONF"
check_equal "an IDevID" "idevid: created (rsa-2048, 0x81020000)" "$("$T2C" key create idevid)"
check_equal "an LDevID" "ldevid: created (rsa-2048, 0x81000002)" "$("$T2C" key create ldevid)"
area 0x81020000 >ours
check "the IDevID is like theirs" cmp ours theirs.0x81020000
tpm2_readpublic -c 0x81010001 | grep '^rsa: ' >ours
check "below the very endorsement key" cmp ours theirs.ek
area 0x81000002 | sed 's/|noda//; s/0x60472/0x60072/' >ours
check "the LDevID is like theirs" cmp ours theirs.0x81000002
check "but works when the TPM is locked" sh -c "tpm2_readpublic -c 0x81000002 | grep -q '|noda|'"
check_equal "again" "idevid: exists (rsa-2048, 0x81020000)" "$("$T2C" key create idevid)"
check "a request of the new one" "$T2C" csr idevid --subject /CN=idevid --out idevid.csr
openssl x509 -req -in idevid.csr -days 365 -CA ca.pem -CAkey ca.key -CAcreateserial -out idevid.crt 2>err
check_equal "its certificate goes where theirs was" "idevid: certificate stored in NV index 0x01c90000" \
    "$("$T2C" cert import idevid idevid.crt)"
check_equal "and is there" "idevid: certificate stored in NV index 0x01c90000" "$("$T2C" cert import idevid idevid.crt)"
openssl x509 -in idevid.crt -outform der -out idevid.der
tpm2_nvread 0x01C90000 -C p -s "$(stat -c %s idevid.der)" -o read.der
check "where idevid-cert-export.sh finds it" cmp idevid.der read.der
check "and everybody else" sh -c "tpm2_nvreadpublic 0x01C90000 | grep -q 'friendly: ppwrite|ppread|ownerread|authread|no_da|written|platformcreate\$'"
check_equal "the environment chooses otherwise" "iak: created (ec-p256, 0x81020001)
device-id: created (ec-p256, key file)" "$(TPM2CLOUD_PROFILE=tcg "$T2C" key create iak; "$T2C" key create device-id)"
check_equal "TCG's index wins where both would be" "idevid: certificate stored in NV index 0x01c90200" \
    "$(TPM2CLOUD_PROFILE=tcg "$T2C" cert import idevid idevid.crt)"
check_equal "for those who write, too" "idevid: certificate stored in NV index 0x01c90200" "$("$T2C" cert import idevid idevid.crt)"
check_fails "a profile that is not known" "TPM2CLOUD_PROFILE: profile tgc is not known; this version knows: tcg, iotedge-tpm2cloud" \
    env TPM2CLOUD_PROFILE=tgc "$T2C" key create idevid
tpm_clean "the profile"
finish
