#!/bin/sh
# A factory line makes identities: what tpm2-tools and openssl see of them, twice in a row, and after the owner cleared the TPM.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm tpm2_readpublic openssl
tpm_start

check "the IDevID is made" "$T2C" key create idevid
check "the LDevID is made" "$T2C" key create ldevid
check "an operational key is made" "$T2C" key create device-id
check "the attestation key is made" "$T2C" key create iak

public() { # HANDLE FILE
    tpm2_readpublic -Q -c "$1" -f pem -o "$2"
}
public 0x81020000 "$work/tools-idevid.pub"
public 0x81000002 "$work/tools-ldevid.pub"
for name in idevid ldevid; do
    ssl pkey -in "tpm2cloud:$name" -pubout -out "$work/ours-$name.pub" 2>"$work/err"
    check "tpm2-tools reads the same public key of $name" cmp "$work/tools-$name.pub" "$work/ours-$name.pub"
    "$T2C" key show "$name" | sed -n '/BEGIN/,$p' >"$work/shown-$name.pub"
    check "key show prints that public key of $name" cmp "$work/tools-$name.pub" "$work/shown-$name.pub"
done

tpm2_readpublic -c 0x81020000 >"$work/idevid.txt"
tpm2_readpublic -c 0x81000002 >"$work/ldevid.txt"
for name in idevid ldevid; do
    for attribute in fixedtpm fixedparent sensitivedataorigin sign; do
        check "$name has the attribute $attribute" grep -q "$attribute" "$work/$name.txt"
    done
done
check "the IDevID has TCG's attributes" grep -q 'raw: 0x400f2' "$work/idevid.txt"
check "the IDevID has TCG's policy" grep -qi \
    'authorization policy: ad6b3a2284fd698a0710bf5cc1b9bdf15e2532e3f601fa4b93a6a8fa8de579ea' "$work/idevid.txt"
check "the LDevID is spared by the dictionary-attack lockout" grep -q 'raw: 0x40472' "$work/ldevid.txt"
check_equal "the Name is the one that tpm2-tools computes" "$(sed -n 's/^name: //p' "$work/ldevid.txt")" \
    "$("$T2C" key show ldevid | sed -n 's/^TPM Name: *//p')"

# The same template by hand, as reference: the IDevID is a primary key of the endorsement hierarchy.
printf '\006\000IDEVID' >"$work/unique"
head -c 122 /dev/zero >>"$work/unique"
head -c 130 /dev/zero >>"$work/unique"
printf '\255\153\072\042\204\375\151\212\007\020\277\134\301\271\275\361\136\045\062\343\366\001\372\113\223\246\250\372\215\345\171\352' \
    >"$work/policy"
check "tpm2_createprimary accepts TCG's template" tpm2_createprimary -Q -C e -g sha256 -G ecc256:ecdsa-sha256:null \
    -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|sign" -L "$work/policy" -u "$work/unique" \
    -c "$work/reference.ctx"
tpm2_flushcontext -t
tpm2_readpublic -Q -c "$work/reference.ctx" -f pem -o "$work/reference.pub"
tpm2_flushcontext -t
check "and makes the very IDevID of it" cmp "$work/reference.pub" "$work/tools-idevid.pub"

# The endorsement and storage root keys, against those that tpm2-tools makes by TCG's templates.
for place in rsa:0x81010001:rsa-2048 ecc:0x8101000A:ec-p256 ecc384:0x81010016:ec-p384 ecc521:0x81010018:ec-p521; do
    algorithm=${place%%:*} handle=${place#*:} ours=${place##*:}
    handle=${handle%:*}
    check "an EK is made, $ours" "$T2C" key create ek --alg "$ours"
    public "$handle" "$work/ek.pub"
    tpm2_createek -Q -c "$work/ek.ctx" -G "$algorithm" -f pem -u "$work/reference-ek.pub"
    tpm2_flushcontext -t
    check "tpm2_createek makes the same" cmp "$work/ek.pub" "$work/reference-ek.pub"
done
check_equal "ek is the RSA one where there are both" "ek: exists (rsa-2048, 0x81010001)" "$("$T2C" key create ek)"
head -c 256 /dev/zero >"$work/zeros"
{ printf '\000\001'; cat "$work/zeros"; } >"$work/unique"
tpm2_createprimary -Q -C o -g sha256 -G rsa2048:aes128cfb -c "$work/srk.ctx" -u "$work/unique" \
    -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
tpm2_flushcontext -t
tpm2_readpublic -Q -c "$work/srk.ctx" -f pem -o "$work/reference-srk.pub"
tpm2_flushcontext -t
public 0x81000001 "$work/srk.pub"
check "the storage root key is TCG's" cmp "$work/srk.pub" "$work/reference-srk.pub"

# Idempotence.
check_equal "making an identity again changes nothing" "idevid: exists (ec-p256, 0x81020000)" "$("$T2C" key create idevid)"
check_equal "nor with the algorithm that it has" "ldevid: exists (ec-p256, 0x81000002)" \
    "$("$T2C" key create ldevid --alg ec-p256)"
check_equal "nor making a key file" "device-id: exists (ec-p256, key file)" "$("$T2C" key create device-id)"
check_fails "another algorithm is refused, saying what sits there" \
    "handle 0x81000002 is occupied by another key (ec-p256, fixedtpm|" "$T2C" key create ldevid --alg rsa-2048
check_fails "a key file of another algorithm is refused" "holds a ec-p256 key, not rsa-2048" \
    "$T2C" key create device-id --alg rsa-2048

# CSRs.
for name in idevid ldevid device-id; do
    check "csr $name" "$T2C" csr "$name" --subject "/CN=$name/O=Test" --san DNS:a.example,IP:127.0.0.1 --out "$work/$name.csr"
    check "openssl verifies the request of $name" openssl req -in "$work/$name.csr" -noout -verify
    openssl req -in "$work/$name.csr" -noout -text >"$work/$name.txt"
    check "it has a named curve" grep -q 'ASN1 OID: prime256v1' "$work/$name.txt"
    check "and the names" grep -q 'DNS:a.example, IP Address:127.0.0.1' "$work/$name.txt"
    check "and is signed without algorithm parameters" grep -q 'Signature Algorithm: ecdsa-with-SHA256' "$work/$name.txt"
done
check "the attestation key is restricted" sh -c "tpm2_readpublic -c 0x81020001 | grep -q 'raw: 0x500f2'"
check "the attestation key signs a request, which the TPM hashes" "$T2C" csr iak --subject /CN=x --out "$work/iak.csr"
check "openssl verifies it" openssl req -in "$work/iak.csr" -noout -verify

# The certificate of the IDevID in NV, beyond the TPM's buffer of 1024 bytes.
"$ESTCA" init "$work/maker" --name maker >/dev/null
sans=$(i=0; while [ $i -lt 20 ]; do printf 'DNS:alternative-name-%s.factory.example,' $i; i=$((i + 1)); done)
"$T2C" csr idevid --subject /CN=idevid --san "${sans%,}" --out "$work/idevid.csr"
check "a certificate until 9999" "$ESTCA" sign "$work/maker" --csr "$work/idevid.csr" --not-after 99991231235959Z \
    --out "$work/idevid.crt"
check "is stored in the TPM" "$T2C" cert import idevid "$work/idevid.crt"
check "storing it again changes nothing" "$T2C" cert import idevid "$work/idevid.crt"
tpm2_nvread 0x01C90200 -o "$work/nv.der" 2>"$work/err"
check "it is more than one NV buffer" test "$(stat -c %s "$work/nv.der")" -gt 1024
openssl x509 -in "$work/idevid.crt" -outform DER -out "$work/leaf.der"
check "tpm2_nvread reads the same certificate first" cmp -n "$(stat -c %s "$work/leaf.der")" "$work/nv.der" "$work/leaf.der"
check "the index can be read by anyone, and is written by the platform" sh -c \
    "tpm2_nvreadpublic 0x01C90200 | grep -q 'ppwrite|ppread|ownerread|authread|no_da|written|platformcreate'"
"$T2C" cert export idevid >"$work/exported.pem"
check "cert export gives the chain back" cmp "$work/idevid.crt" "$work/exported.pem"
check_equal "tpm2cloud:idevid is that certificate" "notAfter=Dec 31 23:59:59 9999 GMT" \
    "$(ssl x509 -in tpm2cloud:idevid -noout -enddate)"
"$ESTCA" sign "$work/maker" --csr "$work/idevid.csr" --out "$work/other.crt"
check_fails "another certificate does not replace it" "NV index 0x01c90200 holds another certificate of idevid" \
    "$T2C" cert import idevid "$work/other.crt"
check_fails "a certificate of another key is refused" 'is for another key than ldevid' \
    "$T2C" cert import ldevid "$work/idevid.crt"

# The owner clears the TPM.
"$ESTCA" sign "$work/maker" --csr "$work/ldevid.csr" --out "$work/ldevid.crt"
check "the certificate of the LDevID goes to a file" "$T2C" cert import ldevid "$work/ldevid.crt"
check "in the certificate directory" cmp "$work/ldevid.crt" "$work/certs/ldevid.pem"
check "tpm2_clear" tpm2_clear
check_fails "the LDevID is gone" "this TPM has no ldevid (nothing at handle 0x81000002); create it with: tpm2cloud key create ldevid" \
    "$T2C" key show ldevid
check_fails "the key file's key too, and it is said why" "the parent key is missing" "$T2C" csr device-id --subject /CN=x
check "the IDevID is made again" "$T2C" key create idevid
public 0x81020000 "$work/again.pub"
check "bit for bit" cmp "$work/again.pub" "$work/tools-idevid.pub"
check "its certificate is still there" "$T2C" cert import idevid "$work/idevid.crt"
check "a new LDevID is made" "$T2C" key create ldevid
public 0x81000002 "$work/new-ldevid.pub"
check_fails "which is another key" "differ" sh -c "cmp $work/new-ldevid.pub $work/tools-ldevid.pub >&2"
check_fails "a key file from before the clear tells what happened" "the key belongs to another TPM, or this TPM was cleared" \
    "$T2C" csr device-id --subject /CN=x
tpm_clean "after all that"
finish
