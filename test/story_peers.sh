#!/bin/sh
# Key files are those of the neighbours: tpm2-openssl signs with ours, and reads the same public key.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
peer="$(pkg-config --variable=modulesdir libcrypto)/tpm2.so"
[ -e "$peer" ] || skip_all "tpm2-openssl is not installed"
tpm_start
echo "some data" >"$work/data"

parent_in() { # the parent that a key file names, as openssl prints the number: 81000001, or -7EFFFFFF
    openssl asn1parse -in "$1" | sed -n 's/.*prim: INTEGER *://p'
}
# with_parent NUMBER NAME: the key file NAME, put together by openssl, its parent being written as NUMBER
with_parent() {
    {
        printf 'asn1 = SEQUENCE:key\n[key]\ntype = OID:2.23.133.10.1.3\nempty = EXPLICIT:0,BOOLEAN:TRUE\nparent = INTEGER:%s\n' "$1"
        openssl asn1parse -in "$work/keys/$2.pem" | sed -n 's/.*OCTET STRING *\[HEX DUMP\]:/FORMAT:HEX,OCTETSTRING:/p' | nl -s ' = '
    } >"$work/asn1.cnf"
    openssl asn1parse -noout -genconf "$work/asn1.cnf" -out "$work/asn1.der" || return
    echo "-----BEGIN TSS2 PRIVATE KEY-----"
    openssl base64 -in "$work/asn1.der"
    echo "-----END TSS2 PRIVATE KEY-----"
}
for algorithm in ec-p256 rsa-2048; do
    "$T2C" key create "k-$algorithm" --alg $algorithm >/dev/null
    ssl pkey -in "tpm2cloud:k-$algorithm" -pubout -out "$work/ours.pub"
    OPENSSL_MODULES=$(dirname "$peer")
    check "$algorithm: tpm2-openssl makes a key file" openssl genpkey -provider tpm2 -provider default \
        -algorithm "$([ $algorithm = rsa-2048 ] && echo RSA || echo EC)" \
        -pkeyopt "$([ $algorithm = rsa-2048 ] && echo bits:2048 || echo group:P-256)" -pkeyopt parent:0x81000001 \
        -out "$work/keys/peer-$algorithm.pem"
    tpm2_flushcontext -t
    check_equal "$algorithm: ours names its parent as the draft has it" 81000001 "$(parent_in "$work/keys/k-$algorithm.pem")"
    # Before version 1.2 it has the parent in a long. Where that has 32 bits, it writes a negative number and reads nothing else.
    ours=$work/keys/k-$algorithm.pem
    case $(parent_in "$work/keys/peer-$algorithm.pem") in
    -*)
        with_parent -0x7EFFFFFF "k-$algorithm" >"$work/negative.pem"
        ours=$work/negative.pem
        ;;
    esac
    check "$algorithm: tpm2-openssl reads our key file" openssl pkey -provider tpm2 -provider default \
        -in "$ours" -pubout -out "$work/theirs.pub"
    check "$algorithm: and the same public key" cmp "$work/ours.pub" "$work/theirs.pub"
    check "$algorithm: and signs with it" openssl req -provider tpm2 -provider default -new -subj /CN=x \
        -key "$ours" -out "$work/x.csr"
    check "$algorithm: openssl verifies that" openssl req -in "$work/x.csr" -noout -verify
    tpm2_flushcontext -t
    OPENSSL_MODULES=$BUILD/.libs
    check "$algorithm: we sign with its key" ssl dgst -sha256 -sign "tpm2cloud:peer-$algorithm" -out "$work/sig" "$work/data"
    ssl pkey -in "tpm2cloud:;file=$work/keys/peer-$algorithm.pem" -pubout -out "$work/theirs.pub"
    check "$algorithm: openssl verifies that too" openssl dgst -sha256 -verify "$work/theirs.pub" -signature "$work/sig" \
        "$work/data"
done

with_parent 0x81000001 k-ec-p256 >"$work/again.pem"
check "openssl encodes our key file as we do" cmp "$work/again.pem" "$work/keys/k-ec-p256.pem"
with_parent -0x7EFFFFFF k-ec-p256 >"$work/keys/moved.pem"
check "its parent as a long of 32 bits: we sign" ssl dgst -sha256 -sign tpm2cloud:moved -out "$work/sig" "$work/data"
ssl pkey -in tpm2cloud:k-ec-p256 -pubout -out "$work/ours.pub"
check "and openssl verifies" openssl dgst -sha256 -verify "$work/ours.pub" -signature "$work/sig" "$work/data"
for parent in 0x100000000 -0x80000001 0x10000000000000000; do
    with_parent $parent k-ec-p256 >"$work/keys/moved.pem"
    check_fails "the parent $parent is refused" "$work/keys/moved.pem: the TPM key file names an impossible parent" \
        "$T2C" csr moved --subject /CN=x
done
for algorithm in EC RSA; do
    OPENSSL_MODULES=$(dirname "$peer")
    openssl genpkey -provider tpm2 -provider default -algorithm $algorithm \
        -pkeyopt "$([ $algorithm = RSA ] && echo bits:2048 || echo group:P-256)" -out "$work/keys/hierarchy.pem" 2>/dev/null
    tpm2_flushcontext -t
    openssl pkey -provider tpm2 -provider default -in "$work/keys/hierarchy.pem" -pubout -out "$work/theirs.pub"
    tpm2_flushcontext -t
    OPENSSL_MODULES=$BUILD/.libs
    check "$algorithm: below the owner's hierarchy, we sign" \
        ssl dgst -sha256 -sign tpm2cloud:hierarchy -out "$work/sig" "$work/data"
    check "$algorithm: openssl verifies that" openssl dgst -sha256 -verify "$work/theirs.pub" -signature "$work/sig" "$work/data"
    tpm_clean "$algorithm: below a hierarchy"
done
tpm2_changeauth -Q -c o "a value"
check_fails "where the owner has a value, it is asked for" "with \$TPM2CLOUD_OWNER_AUTH" \
    ssl dgst -sha256 -sign tpm2cloud:hierarchy -out "$work/sig" "$work/data"
printf 'a value' >"$work/owner.auth"
export TPM2CLOUD_OWNER_AUTH="file:$work/owner.auth"
check "with it we sign" ssl dgst -sha256 -sign tpm2cloud:hierarchy -out "$work/sig" "$work/data"
unset TPM2CLOUD_OWNER_AUTH
tpm2_changeauth -Q -c o -p "a value" ''
with_parent 0x4000000C k-ec-p256 >"$work/keys/moved.pem"
check_fails "the platform's hierarchy is no parent" "its parent is 0x4000000c; a key file can be used if" \
    "$T2C" csr moved --subject /CN=x

# tpm2-tools: a key of theirs as a file, below a primary key of their own at another handle.
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81000020
tpm2_flushcontext -t
for kind in ecc:ecdsa-sha256 ecc384 rsa2048 rsa2048:rsassa-sha256; do
    tpm2_create -Q -C 0x81000020 -G $kind -u "$work/t.pub" -r "$work/t.priv" \
        -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
    tpm2_readpublic -Q -c 0x81000020 >/dev/null
    tpm2_encodeobject -C 0x81000020 -u "$work/t.pub" -r "$work/t.priv" -p -o "$work/keys/tools.pem" >/dev/null
    tpm2_flushcontext -t
    tpm2_flushcontext -l
    tpm2_load -Q -C 0x81000020 -u "$work/t.pub" -r "$work/t.priv" -c "$work/t.ctx"
    tpm2_readpublic -Q -c "$work/t.ctx" -f pem -o "$work/theirs.pub"
    tpm2_flushcontext -t
    check "$kind of tpm2-tools: we sign" ssl dgst -sha256 -sign tpm2cloud:tools -out "$work/sig" "$work/data"
    check "$kind of tpm2-tools: openssl verifies" openssl dgst -sha256 -verify "$work/theirs.pub" -signature "$work/sig" "$work/data"
done
tpm_clean "after all that"
finish
