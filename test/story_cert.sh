#!/bin/sh
# A certificate and its TPM: what it says, whether its key is here, whether it is valid, and who issued it.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
for ca in maker other; do "$ESTCA" init "$work/$ca" --name $ca >/dev/null; done
issue() { # NAME OUT ARGUMENTS...
    name=$1 out=$2
    shift 2
    "$T2C" csr "$name" --subject "/CN=$name" --out "$work/$name.csr" && "$ESTCA" sign "$work/maker" --csr "$work/$name.csr" --out "$out" "$@"
}
for name in idevid ldevid device-id; do
    "$T2C" key create "$name" >/dev/null
    issue "$name" "$work/$name.crt" --not-after 99991231235959Z
    "$T2C" cert import "$name" "$work/$name.crt" >/dev/null
done
trust=$work/maker/root.pem
says() { # EXIT LINE COMMAND...
    want=$1 line=$2
    shift 2
    "$@" >"$work/answer" 2>"$work/told"
    [ $? -eq "$want" ] && sed 's/  */ /g' "$work/answer" | grep -qF -- "$line" && return
    cat "$work/answer" "$work/told"
    return 1
}
verify() {
    "$T2C" cert verify "$1" --trust "$trust"
}

# ---- as it should be ----

for name in idevid:0x81020000 ldevid:0x81000002; do
    check "${name%:*} verifies" says 0 "ok key ${name%:*} in this TPM is the certificate's: ec-p256, at handle ${name#*:}" verify "${name%:*}"
    check "until never" grep -q '^ok  *validity  *from 20.* until never$' "$work/answer"
    check "below the root" grep -q '^ok  *chain  *issued below "CN = maker ' "$work/answer"
done
check "a key file's verifies" says 0 "ok key device-id in this TPM is the certificate's: ec-p256, in a key file" verify device-id
check "without --trust its chain is not checked" says 0 "not checked chain no --trust says who is believed" "$T2C" cert verify ldevid
mkdir "$work/anchors"
cp "$work/maker/root.pem" "$work/anchors/a.pem"
cp "$work/other/root.pem" "$work/anchors/b.pem"
check "a directory of roots" "$T2C" cert verify ldevid --trust "$work/anchors"
check "for programs" sh -c "'$T2C' cert verify ldevid --trust '$trust' --json | grep -q '^{\"ok\": true, \"checks\": \['"

"$T2C" cert show idevid >"$work/shown"
check_equal "shown: where it is, and whose" "name: idevid
place: NV index 0x01c90200
key: this TPM's, ec-p256, at handle 0x81020000" "$(head -n 3 "$work/shown" | sed 's/:  */: /')"
: >"$work/expected"
awk -v to="$work/part" '/BEGIN/ { n++ } { print > (to n) }' "$work/idevid.crt"
for part in "$work"/part?; do openssl x509 -in "$part" -noout -text -nameopt oneline >>"$work/expected"; done
tail -n +4 "$work/shown" >"$work/text"
check "and its text, as openssl has it" cmp "$work/text" "$work/expected"
"$T2C" cert show ldevid --json >"$work/json"
openssl x509 -in "$work/ldevid.crt" -outform DER -out "$work/ldevid.der"
check "shown for programs" grep -qF '{"name": "ldevid", "place": "'"$work/certs/ldevid.pem"'", "key_is_here": true, "key_is": "ec-p256, at handle 0x81000002"' "$work/json"
check "with the certificate, its hash and when it ends" grep -qF \
    '"not_after_s": null, "key": "ec-p256", "key_sha256": "'"$(openssl x509 -in "$work/ldevid.crt" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)"'", "sha256": "'"$(sha256sum <"$work/ldevid.der" | cut -d' ' -f1)"'", "der": "'"$(openssl base64 -A <"$work/ldevid.der")"'"' "$work/json"

# ---- as it should not be ----

cp "$work/device-id.crt" "$work/certs/ldevid.pem"
check "another key's certificate" says 1 "not ok key it certifies another key than ldevid (ec-p256, at handle 0x81000002)" verify ldevid
check "and what to do" grep -q 'import the certificate of this key (tpm2cloud cert import ldevid FILE)' "$work/answer"
check "is shown as such" says 0 "key: it certifies another key than ldevid" "$T2C" cert show ldevid
check "for programs, too" sh -c "'$T2C' cert show ldevid --json | grep -q '\"key_is_here\": false, \"key_is\": \"it certifies another key'"
issue ldevid "$work/certs/ldevid.pem" --not-before -7200 --lifetime 3600
check "an expired one" says 1 "not ok validity it expired at $(date -u +%Y)-" verify ldevid
check "whose chain says so, too" grep -q '^not ok  *chain  *the certificate of "CN = ldevid" expired 3[56].. s ago' "$work/answer"
issue ldevid "$work/certs/ldevid.pem" --not-before 3600
check "one that is not valid yet" says 1 "not ok validity it is valid from $(date -u +%Y)-" verify ldevid
issue ldevid "$work/certs/ldevid.pem"
check "one of another CA" says 1 'not ok chain the certificate of "CN = ldevid" does not verify: unable to get local issuer certificate' \
    "$T2C" cert verify ldevid --trust "$work/other/root.pem"
sed -n '1,/END/p' "$work/ldevid.crt" >"$work/certs/ldevid.pem"
check "one without its intermediate" says 1 "not ok chain" verify ldevid
check_fails "roots that are not there" "cannot read certificates from $work/none: No such file" "$T2C" cert verify ldevid --trust "$work/none"
head -c 300 "$work/ldevid.crt" >"$work/certs/ldevid.pem"
check_fails "a damaged file" "$work/certs/ldevid.pem: certificate 1 of the PEM text is damaged" verify ldevid
rm "$work/certs/ldevid.pem"
check_fails "none" "there is no certificate of ldevid (no $work/certs/ldevid.pem); import one with: tpm2cloud cert import ldevid FILE" verify ldevid
check_fails "no name" "an argument is missing" "$T2C" cert verify
check_fails "a name that is none" '"../x" is not a name' "$T2C" cert show ../x
mv "$work/keys/device-id.pem" "$work/moved"
check "a certificate without key" says 1 "not ok key there is no key device-id (no $work/keys/device-id.pem)" verify device-id
mv "$work/moved" "$work/keys/device-id.pem"

cp -r "$work/keys" "$work/image"
cp -r "$work/certs" "$work/image.certs"
tpm_stop
tpm_start
"$T2C" key create srk >/dev/null
mkdir -p "$work/keys"
cp "$work/image/device-id.pem" "$work/keys"
cp -r "$work/image.certs" "$work/certs"
check "a key file that was copied to another device" says 1 "not ok key device-id: cannot load the key under 0x81000001" verify device-id
check "which says so" grep -q "the key belongs to another TPM, or this TPM was cleared" "$work/answer"
tpm_clean "after all that"
export TPM2CLOUD_TCTI="swtpm:path=$work/nobody"
check "without a TPM" says 1 "what to do: tpm2cloud doctor says what is wrong with the way to the TPM" verify device-id
finish
