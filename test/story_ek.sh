#!/bin/sh
# Is this TPM its maker's? The certificates that were left in it, their chain, and the key; and everything that can be wrong with them.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm swtpm_setup tpm2_nvdefine tpm2_createek openssl jq
exits() { # CODE COMMAND...
    want=$1
    shift
    "$@" >"$work/answer" 2>"$work/told"
    [ $? -eq "$want" ]
}
says() { # TEXT COMMAND...: exit code 1, and TEXT in the answer
    text=$1
    shift
    "$@" >"$work/answer" 2>"$work/told"
    [ $? -eq 1 ] && grep -qF -- "$text" "$work/answer" && return
    cat "$work/answer"
    return 1
}
replaying() { # CODE FILE COMMAND...: with a TPM whose answers to CODE are all what is in FILE
    replay=$1:$2
    shift 2
    TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_REPLAY=$replay "$@"
}
size16() { # NUMBER: as two bytes
    printf '%b' "\\0$(printf '%03o' $(($1 / 256)))\\0$(printf '%03o' $(($1 % 256)))"
}
public_answer() { # HANDLE: what the TPM answers to TPM2_ReadPublic
    tpm2_readpublic -Q -c "$1" -o "$work/a.pub" -n "$work/a.name" -q "$work/a.qualified"
    printf '\200\001\000\000'
    size16 $((10 + $(cat "$work/a.pub" "$work/a.name" "$work/a.qualified" | wc -c) + 4))
    printf '\000\000\000\000'
    cat "$work/a.pub"
    for name in "$work/a.name" "$work/a.qualified"; do
        size16 "$(wc -c <"$name")"
        cat "$name"
    done
}

# ---- swtpm's own CA: what swtpm_setup leaves in a TPM is what makers leave ----

check "swtpm_setup makes a TPM with certificates" tpm_made
tpm_start "$work/made"
check "they verify" "$T2C" ek verify --roots "$work/roots"
check_equal "by what, and whose key they certify" \
    '0x01c00002 rsa-2048: ok: issued below "CN = swtpm-localca-rootca"; its key is this TPM'\''s, at 0x81010001, proven
0x01c00016 ec-p384: ok: issued below "CN = swtpm-localca-rootca"; its key is this TPM'\''s, at 0x81010016, proven' "$("$T2C" ek verify --roots "$work/roots")"
check "intermediates may be elsewhere" "$T2C" ek verify --roots "$work/localca/swtpm-localca-rootca-cert.pem" \
    --intermediates "$work/localca/issuercert.pem"
check "without roots they are refused" says \
    'not ok: its issuer "CN = swtpm-localca" is not known here; if it is the TPM maker'\''s, put it into /etc/tpm2cloud/ek-roots' \
    "$T2C" ek verify
check "with the intermediate alone, too" says 'not ok: its issuer "CN = swtpm-localca-rootca" is not known here' \
    "$T2C" ek verify --roots "$work/localca/issuercert.pem"
check_fails "roots that are not there" "cannot read certificates from $work/none: No such file" "$T2C" ek verify --roots "$work/none"
"$T2C" ek show >"$work/shown"
tpm2_nvread -C 0x01C00002 0x01C00002 -o "$work/rsa.der" 2>/dev/null
for line in "TPM:         IBM (id:00001014), model swtpm, firmware id:$(sed -n 's/.*firmware id:\([0-9A-F]*\)$/\1/p' "$work/shown" | head -n 1)" \
    "TPM library: 2.0, level 0, revision 1" "issuer:      CN = swtpm-localca" "until never" \
    "SHA-256:     $(openssl x509 -inform DER -in "$work/rsa.der" -outform DER | sha256sum | cut -d' ' -f1)" \
    "key:         rsa-2048, SHA-256 $(openssl x509 -inform DER -in "$work/rsa.der" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1)"; do
    check "shown: ${line%%:*}" grep -qF "$line" "$work/shown"
done
"$T2C" ek show --json >"$work/shown.json"
check "the certificate itself, for programs" grep -qF \
    "\"der\": \"$(openssl x509 -inform DER -in "$work/rsa.der" -outform DER | openssl base64 -A)\"" "$work/shown.json"
check "the verdict, for programs" sh -c "'$T2C' ek verify --json --roots '$work/roots' | grep -q '\"ok\": true, \"root\": \"CN = swtpm-localca-rootca\"'"
check "a refusal, for programs" says '"ok": false, "code": "not-found", "reason": "its issuer' "$T2C" ek verify --json
check "and the proof" sh -c "'$T2C' ek verify --json --roots '$work/roots' | grep -q '\"key_is\": \"at 0x81010016\", \"proven\": true'"
counterfeit="not ok: the TPM does not have the private half of the key that its certificate certifies"
{
    printf '\200\002\000\000\000\072\000\000\000\000\000\000\000\042\000\040' # success, with 32 bytes
    head -c 32 /dev/zero
    printf '\000\000\001\000\000\000\000\001\000\000' # two password sessions
} >"$work/guess"
check "a TPM that guesses the secret" says "0x01c00016 ec-p384: $counterfeit" \
    replaying 147 "$work/guess" "$T2C" ek verify --roots "$work/roots"
tpm2_flushcontext -t
tpm2_flushcontext -l
for handle in 0x81010001 0x81010016; do
    public_answer $handle >"$work/genuine.$handle"
done
tpm2_nvread -C 0x01C00016 0x01C00016 -o "$work/ec.der" 2>/dev/null
tpm2_evictcontrol -Q -C o -c 0x81010001
tpm2_evictcontrol -Q -C o -c 0x81010016
check "with no key at its handle, it is made from its template" sh -c \
    "[ \"\$('$T2C' ek verify --roots '$work/roots' | grep -c 'made from its template')\" -eq 2 ]"
tpm_clean "after that"
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx" && tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81010016
tpm2_flushcontext -t
check "another key at its handle does not matter" "$T2C" ek verify --roots "$work/roots"
tpm_stop

# ---- a TPM whose maker left nothing, or what another CA issued ----

tpm_start
check "a TPM without certificate is an answer, with exit code 3" exits 3 "$T2C" ek show
check "which says what to do" grep -q '^this TPM holds no certificate of an endorsement key; ask its maker' "$work/answer"
check "to verify, too" exits 3 "$T2C" ek verify
check "and for programs" exits 3 "$T2C" ek verify --json
check_equal "an empty list" '{"certificates": [], "chain": []}' "$(cat "$work/answer")"

put() { # INDEX FILE [BYTES]: as makers define their indices
    tpm2_nvundefine -Q -C p "$1" 2>/dev/null
    tpm2_nvdefine -Q -C p -s "${3:-$(stat -c %s "$2")}" "$1" -a "ppwrite|writedefine|ppread|ownerread|authread|no_da|platformcreate" &&
        tpm2_nvwrite -Q -C p -i "$2" "$1"
}
put 0x01C00002 "$work/rsa.der"
check "the certificate of another TPM" says \
    "0x01c00002 rsa-2048: not ok: it certifies another key than this TPM has: it is another TPM's, or the endorsement seed was changed" \
    "$T2C" ek verify --roots "$work/roots"
tpm2_createek -Q -c 0x81010001 -G rsa -u "$work/ek.pub"
check "and its public key, as this TPM's own" says "0x01c00002 rsa-2048: $counterfeit" \
    replaying 173 "$work/genuine.0x81010001" "$T2C" ek verify --roots "$work/roots"
tpm2_evictcontrol -Q -C o -c 0x81010001
tpm2_createek -Q -c 0x81010016 -G ecc384 -u "$work/ek.pub"
put 0x01C00016 "$work/ec.der"
check "those of the high range, too" says "0x01c00016 ec-p384: $counterfeit" \
    replaying 173 "$work/genuine.0x81010016" "$T2C" ek verify --roots "$work/roots"
tpm2_evictcontrol -Q -C o -c 0x81010016
tpm2_nvundefine -Q -C p 0x01C00016

# A maker with a root and two CAs below, and certificates as the profile wants them.
cat >"$work/ext" <<END
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[base]
basicConstraints = critical, CA:false
authorityKeyIdentifier = keyid
authorityInfoAccess = caIssuers;URI:http://pki.example.com/ca2.cer
subjectAltName = critical, dirName:tpm
[tpm]
1.2.23.133.2.1 = id:49465800
2.2.23.133.2.2 = SLB9672
3.2.23.133.2.3 = id:000F0012
END
for usage in keyEncipherment keyAgreement digitalSignature; do
    { printf '[%s]\nkeyUsage = critical, %s\nextendedKeyUsage = 2.23.133.8.1\n' $usage $usage; sed -n '/^\[base\]/,/^\[tpm\]/p' "$work/ext" | sed '1d;$d'; } >"$work/part"
    cat "$work/part" >>"$work/ext"
done
base=$(sed '1d' "$work/part" | grep -v extendedKeyUsage | sed 's/digitalSignature/keyEncipherment/')
printf '[no-eku]\n%s\n[is-ca]\nextendedKeyUsage = 2.23.133.8.1\n%s\n[critical]\nextendedKeyUsage = 2.23.133.8.1\n1.2.3.4 = critical, ASN1:NULL\n%s\n' \
    "$base" "$(echo "$base" | sed 's/CA:false/CA:true/')" "$base" >>"$work/ext"
printf '[long]\nextendedKeyUsage = 2.23.133.8.1\n1.2.3.5 = ASN1:UTF8:%s\n%s\n' "$(head -c 700 /dev/zero | tr '\0' x)" "$base" >>"$work/ext"
new_ca() { # NAME ISSUER ARGUMENTS...
    name=$1 issuer=$2
    shift 2
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/$name.key"
    openssl pkey -in "$work/$name.key" -pubout -out "$work/$name.pub"
    signed="-CA $work/$issuer.pem -CAkey $work/$issuer.key -force_pubkey $work/$name.pub"
    [ "$name" != "$issuer" ] || signed="-key $work/$name.key"
    # shellcheck disable=SC2086
    openssl x509 -new -subj "/CN=$name" $signed -extfile "$work/ext" -extensions ca \
        -days 30 -out "$work/$name.pem" "$@" 2>>"$work/openssl.log"
}
issue() { # PUBLIC SECTION OUT ARGUMENTS...: as DER
    public=$1 section=$2 out=$3
    shift 3
    openssl x509 -new -subj / -force_pubkey "$public" -CA "$work/ca2.pem" -CAkey "$work/ca2.key" -extfile "$work/ext" \
        -extensions "$section" -days 30 -outform DER -out "$out" "$@" 2>>"$work/openssl.log"
}
for name in root ca1 ca2; do
    new_ca $name "${last:-$name}"
    last=$name
done
cat "$work/root.pem" "$work/ca1.pem" "$work/ca2.pem" >"$work/maker.pem"
check "openssl makes a maker" openssl verify -CAfile "$work/root.pem" -untrusted "$work/ca1.pem" "$work/ca2.pem"

# Each place that the profile has, low and high, with a key that nobody has put at a handle.
for place in 02:rsa 0A:ecc 16:ecc384 18:ecc521 1C:rsa3072; do
    index=0x01C000${place%:*} algorithm=${place#*:}
    tpm2_createek -Q -c "$work/ek.ctx" -G "$algorithm" -f pem -u "$work/$algorithm.pub"
    tpm2_flushcontext -t
    usage=keyAgreement
    [ "${algorithm#rsa}" = "$algorithm" ] || usage=keyEncipherment
    issue "$work/$algorithm.pub" $usage "$work/$algorithm.der"
    put "$index" "$work/$algorithm.der"
    check "$algorithm at $index verifies" sh -c \
        "'$T2C' ek verify --roots '$work/maker.pem' | grep '^$(echo "$index" | tr A-F a-f) ' | grep -q 'ok: issued below \"CN = root\"; its key is this TPM.s, made from its template'"
done
check "a vendor is named, with model and firmware" sh -c "'$T2C' ek show | grep -q 'TPM:         Infineon (id:49465800), model SLB9672, firmware id:000F0012'"
for index in 0x01C0000A 0x01C00016 0x01C00018 0x01C0001C; do tpm2_nvundefine -Q -C p $index; done

# What is in the index. The key is at its handle from here on: making it takes time.
tpm2_createek -Q -c 0x81010001 -G rsa -u "$work/ek.pub"
verify() {
    "$T2C" ek verify --roots "$work/maker.pem"
}
for byte in 377 000; do
    { cat "$work/rsa.der"; head -c 300 /dev/zero | tr '\0' "\\$byte"; } >"$work/padded.der"
    put 0x01C00002 "$work/padded.der"
    check "bytes of padding behind it ($byte) do not matter" verify
done
issue "$work/rsa.pub" long "$work/long.der"
check "a certificate that is longer than the TPM's buffer" test "$(stat -c %s "$work/long.der")" -gt 1400
put 0x01C00002 "$work/long.der"
check "verifies" verify
head -c 500 "$work/rsa.der" >"$work/cut.der"
put 0x01C00002 "$work/cut.der"
check "half a certificate" says "not ok: it is damaged, and only the TPM's maker has it whole: not a DER certificate at byte 0" verify
check "is shown as such" sh -c "'$T2C' ek show | grep -q '  it is damaged'"
{ head -c 700 "$work/rsa.der"; printf X; tail -c +702 "$work/rsa.der"; } >"$work/flipped.der"
put 0x01C00002 "$work/flipped.der"
check "one byte that is another" says "certificate signature failure" verify
head -c 600 /dev/zero >"$work/zeros"
put 0x01C00002 "$work/zeros"
check "an index of zeros" says "not ok: it is damaged, and only the TPM's maker has it whole: no certificate in it" verify
tpm2_nvundefine -Q -C p 0x01C00002
tpm2_nvdefine -Q -C p -s 600 0x01C00002 -a "ppwrite|ppread|ownerread|authread|no_da|platformcreate"
check "an index that was never written" says "0x01c00002 certificate: not ok: NV index 0x01c00002: cannot read byte 0: TPM answered 0x14a" verify

# What the certificate says.
refused() { # WHAT SECTION TEXT [ARGUMENTS OF openssl]
    what=$1 section=$2 text=$3
    shift 3
    issue "$work/rsa.pub" "$section" "$work/bad.der" "$@"
    put 0x01C00002 "$work/bad.der"
    check "$what" says "0x01c00002 rsa-2048: not ok: $text" verify
}
refused "no certificate of an endorsement key" no-eku "it is no certificate of an endorsement key: its extended key usage lacks 2.23.133.8.1"
refused "a key usage that is no EK's" digitalSignature "it is no certificate of an endorsement key: its key usage forbids keyEncipherment"
refused "the certificate of a CA" is-ca "it is the certificate of a CA, not of an endorsement key"
refused "a critical extension that nobody knows" critical 'the certificate of "" does not verify: unhandled critical extension'
# x509 -new knows no dates: ca2 issues by openssl ca.
mkdir "$work/db" && : >"$work/db/index" && echo 1000 >"$work/db/serial"
printf '[ca]\ndefault_ca = d\n[d]\ndatabase = %s/db/index\nserial = %s/db/serial\nnew_certs_dir = %s/db\ndefault_md = sha256\npolicy = p\nunique_subject = no\n[p]\n' \
    "$work" "$work" "$work" >"$work/ca.conf"
dated() { # ISSUER SUBJECT KEY SECTION OUT FROM UNTIL
    openssl req -new -key "$3" -subj "$2" -out "$work/dated.csr" 2>>"$work/openssl.log"
    openssl ca -batch -notext -config "$work/ca.conf" -cert "$work/$1.pem" -keyfile "$work/$1.key" -in "$work/dated.csr" -subj "$2" \
        -preserveDN -extfile "$work/ext" -extensions "$4" -startdate "$6" -enddate "$7" -out "$5" 2>>"$work/openssl.log"
}
cp "$work/ca2.pem" "$work/ca2.good"
dated ca1 /CN=ca2 "$work/ca2.key" ca "$work/ca2.expired" 20200101000000Z 20210101000000Z
cat "$work/root.pem" "$work/ca1.pem" "$work/ca2.expired" >"$work/maker.pem"
put 0x01C00002 "$work/rsa.der"
check "an expired CA in the chain" says 'not ok: the certificate of "CN = ca2" expired ' verify
cat "$work/root.pem" "$work/ca1.pem" "$work/ca2.expired" "$work/ca2.good" >"$work/maker.pem"
check "which does not matter when the renewed one is there, too" verify
dated ca1 /CN=ca2 "$work/ca2.key" ca "$work/ca2.early" 20980101000000Z 20990101000000Z
cat "$work/root.pem" "$work/ca1.pem" "$work/ca2.early" >"$work/maker.pem"
check "a CA that is not valid yet" says 'check the clock' verify

# Who issued it: chains in the TPM, and what is missing.
cp "$work/root.pem" "$work/maker.pem"
check "a CA that is missing, and where it publishes its certificate" says \
    "not ok: its issuer \"CN = ca2\" is not known here, and publishes its certificate at http://pki.example.com/ca2.cer; if it is the TPM maker's, put it into $work/maker.pem" verify
openssl x509 -in "$work/ca1.pem" -outform DER -out "$work/ca1.der"
openssl x509 -in "$work/ca2.pem" -outform DER -out "$work/ca2.der"
cat "$work/ca2.der" "$work/ca1.der" >"$work/chain"
head -c 600 "$work/chain" >"$work/chain.0"
tail -c +601 "$work/chain" >"$work/chain.1"
put 0x01C00100 "$work/chain.0"
put 0x01C00101 "$work/chain.1"
check "a chain in the TPM, which crosses from one index to the next" verify
check_equal "is shown" 2 "$("$T2C" ek show | grep -c '^NV indices 0x01c00100 and up: certificate of a CA')"
{ cat "$work/ca2.der"; head -c 40 /dev/zero; } >"$work/chain.0"
put 0x01C00100 "$work/chain.0"
put 0x01C00101 "$work/ca1.der"
check "a chain with a certificate in each index, and padding" verify
openssl x509 -in "$work/root.pem" -outform DER >>"$work/ca1.der"
put 0x01C00101 "$work/ca1.der"
cp "$work/roots/issuercert.pem" "$work/maker.pem"
check "a root that comes with the certificate is not trusted for that" says \
    'not ok: its root "CN = root" is not among those that are trusted here' verify
head -c 100 /dev/urandom >"$work/rubbish"
put 0x01C00101 "$work/rubbish"
cp "$work/ca2.pem" "$work/roots/ca2.pem"
cp "$work/ca1.pem" "$work/roots/ca1.pem"
cp "$work/root.pem" "$work/roots/root.pem"
echo rubbish >"$work/roots/README"
check "a damaged chain in the TPM does not matter when the CAs are known" exits 0 "$T2C" ek verify --roots "$work/roots"
check "and is told" grep -q "the maker's chain in NV indices 0x01c00100 and up is passed over" "$work/told"
check "so is a file of the roots that holds no certificate" grep -q "passed over: $work/roots/README: no PEM certificate in it" "$work/told"

# Whoever may define indices may put anything beside the chain: one that would swallow the beginning of the next, one that nobody may
# read, one that was never written.
head -c -20 "$work/ca2.der" >"$work/cut.der"
put 0x01C00100 "$work/cut.der"
put 0x01C00101 "$work/ca2.der"
tpm2_nvdefine -Q -C o -s 40 0x01C00102 -a "policyread|policywrite"
tpm2_nvdefine -Q -C o -s 40 0x01C00103
put 0x01C00104 "$work/ca1.der"
cp "$work/root.pem" "$work/maker.pem"
check "odd indices beside a chain do not matter" exits 0 "$T2C" ek verify --roots "$work/maker.pem"
check "and are told" grep -q "passed over: NV index 0x01c00102: cannot read byte 0" "$work/told"
check_equal "of several the rest is shown" 2 "$("$T2C" ek show 2>/dev/null | grep -A1 '^NV indices' | grep -cE 'subject: +CN = ca[12]$')"
tpm2_nvdefine -Q -C o -s 40 0x01C0000A -a "policyread|policywrite"
check "an odd index for another certificate is judged by itself" says "0x01c0000a certificate: not ok: NV index 0x01c0000a: cannot read byte 0" verify
check "beside the good one" grep -q "^0x01c00002 rsa-2048: ok: " "$work/answer"
tpm2_nvundefine -Q -C o 0x01C0000A
for index in 0x01C00102 0x01C00103; do tpm2_nvundefine -Q -C o $index; done
tpm2_nvundefine -Q -C p 0x01C00104

# Times that nobody can read.
timeless() { # FILE: with letters in them
    sed 's/[0-9]\{10\}\([0-9][0-9]Z\)/xxxxxxxxxx\1/g' "$1" >"$work/timeless.der"
}
timeless "$work/ca1.der"
put 0x01C00101 "$work/timeless.der"
timeless "$work/rsa.der"
put 0x01C00002 "$work/timeless.der"
check "of an unreadable time the verdict is" says "0x01c00002 rsa-2048: not ok: " "$T2C" ek verify --roots "$work/roots"
check "which JSON has to its end" exits 1 "$T2C" ek verify --roots "$work/roots" --json
check_equal "with null for the times" "false null null null" \
    "$(jq -r '[(.certificates[0] | .ok, .not_before_s, .not_after_s), .chain[1].not_after_s] | map(tostring) | join(" ")' "$work/answer")"
check "and text with a word" sh -c "'$T2C' ek show | grep -q 'valid:       from unknown until unknown'"
put 0x01C00002 "$work/rsa.der"

# A maker's own template and nonce; tpm2_createprimary makes the same key of them. (tpm2_createek -t makes another at each run.)
tpm2_nvundefine -Q -C p 0x01C00100
tpm2_nvundefine -Q -C p 0x01C00101
head -c 32 /dev/urandom >"$work/nonce"
printf '\203\161\227\147\104\204\263\370\032\220\314\215\106\245\327\044\375\122\327\156\006\122\013\144\362\241\332\033\063\024\151\252' \
    >"$work/policy"
{
    printf '\000\001\000\013\000\003\000\362\000\040' # RSA, SHA-256, attributes, policy
    cat "$work/policy"
    printf '\000\006\000\200\000\103\000\020\010\000\000\000\000\000\001\000' # AES-128-CFB, no scheme, 2048 bits, unique
    head -c 256 /dev/zero
} >"$work/template"
{ printf '\000\001' && cat "$work/nonce" && head -c 224 /dev/zero; } >"$work/unique"
tpm2_evictcontrol -Q -C o -c 0x81010001
put 0x01C00003 "$work/nonce"
put 0x01C00004 "$work/template"
tpm2_createprimary -Q -C e -g sha256 -G rsa2048:null:aes128cfb -c "$work/ek.ctx" -L "$work/policy" -u "$work/unique" \
    -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|restricted|decrypt"
tpm2_flushcontext -t
tpm2_readpublic -Q -c "$work/ek.ctx" -f pem -o "$work/own.pub"
tpm2_flushcontext -t
check "a maker's own template makes another key than TCG's" sh -c "! cmp -s '$work/own.pub' '$work/rsa.pub'"
check "which is not the one that was certified" says "it certifies another key than this TPM has" "$T2C" ek verify --roots "$work/roots"
issue "$work/own.pub" keyEncipherment "$work/own.der"
put 0x01C00002 "$work/own.der"
check "its certificate verifies" "$T2C" ek verify --roots "$work/roots"
check "the key is made" "$T2C" key create ek
tpm2_readpublic -Q -c 0x81010001 -f pem -o "$work/made.pub"
check "by template and nonce" cmp "$work/own.pub" "$work/made.pub"
check_equal "and known again" "ek: exists (rsa-2048, 0x81010001)" "$("$T2C" key create ek)"
{ cat "$work/tpm2cloud.conf"; echo "systemctl = /bin/false"; } >"$work/release.conf"
printf '[estd]\ncerts_d = %s\nstate_dir = %s\nsocket = none\n' "$work/none" "$work/none" >"$work/estd.conf"
check "it can be made again after TPM2_Clear" env TPM2CLOUD_CONF="$work/release.conf" "$T2C" release --clear --dry-run \
    --root "$work" --config "$work/estd.conf"
tpm2_evictcontrol -Q -C o -c 0x81010001
tpm2_createek -Q -c 0x81010001 -G rsa -u "$work/ek.pub"
check_fails "one that is TCG's is another" "is occupied by another key" "$T2C" key create ek
tpm2_evictcontrol -Q -C o -c 0x81010001
put 0x01C00004 "$work/nonce"
check "a template that is none" says "whether this TPM has its key is not known: NV index 0x01c00004: no template" \
    "$T2C" ek verify --roots "$work/roots"
tpm2_nvundefine -Q -C p 0x01C00003
tpm2_nvundefine -Q -C p 0x01C00004

# An endorsement hierarchy that is not open.
put 0x01C00002 "$work/rsa.der"
tpm2_createek -Q -c 0x81010001 -G rsa -u "$work/ek.pub"
tpm2_changeauth -Q -c e secret
printf secret >"$work/endorsement.auth"
check "with an endorsement authorization, the key at its handle proves nothing" says \
    "not ok: its public half is at 0x81010001; whether this TPM has the private half is not known: cannot fulfil the policy of the endorsement key: the TPM's endorsement hierarchy has an authorization value that nothing here gives" \
    "$T2C" ek verify --roots "$work/roots"
check "but with its value" env TPM2CLOUD_ENDORSEMENT_AUTH="file:$work/endorsement.auth" "$T2C" ek verify --roots "$work/roots"
tpm2_evictcontrol -Q -C o -c 0x81010001
check "without it, it is told what to do" says \
    "or with \$TPM2CLOUD_ENDORSEMENT_AUTH" "$T2C" ek verify --roots "$work/roots"
check "with its value the key is made for that" env TPM2CLOUD_ENDORSEMENT_AUTH="file:$work/endorsement.auth" \
    "$T2C" ek verify --roots "$work/roots"
tpm_clean "after all that"
finish
