#!/bin/sh
# libaziot_keys as keyd loads and calls it: the interface, what it costs, and what it protects.
# shellcheck disable=SC1091,SC2016,SC2086
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl nm readelf tpm2_readpublic tpm2_evictcontrol
library=$BUILD/.libs/libaziot_keys.so
home=$work/home
mkdir "$home"

check_equal "one symbol is exported" aziot_keys_get_function_list \
    "$(nm -D --defined-only "$library" | awk '$2 ~ /[TDBR]/ { print $3 }')"
check_equal "and the libraries are needed that docs/aziot.md names" \
    "$(sed -n '/^```needed/,/^```$/{ /^```/d; p; }' "$srcdir/docs/aziot.md")" \
    "$(readelf -d "$library" | sed -n '/NEEDED/ { /libasan\|libubsan\|libtsan\|ld-linux/d; s/.*\[\(.*\.so\).*/\1/p; }' | sort | tr '\n' ' ' | sed 's/ $//')"
# One function is the compiler's own.
word=$(readelf -h "$library" | sed -n 's/.*Class: *ELF64$/8/p; s/.*Class: *ELF32$/4/p')
if [ -n "$PRELOAD" ]; then
    skip "nothing runs when it is loaded" "the sanitizer does"
else
    check_equal "nothing runs when it is loaded" "$word (bytes)" \
        "$(readelf -d "$library" | sed -n 's/.*(INIT_ARRAYSZ) *//p')"
fi

tpm_start
counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"
"$T2C" key create srk >/dev/null
"$T2C" key create ldevid >/dev/null
"$T2C" key create device >/dev/null

# aziot ARGUMENTS...: calls, each with what it answers; see test/aziot_calls.c.
aziot() {
    : >"$work/commands"
    stock_preloaded env TPM2CLOUD_TCTI="$counting" T2C_TCTI_LOG="$work/commands" "$BUILD/aziot_calls" "$library" "$home" "$@"
}
stock_preloaded() {
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD "$@"
    else
        "$@"
    fi
}
commands() { # CODE: how many of them.
    grep -c "$1" "$work/commands"
}

check "the library is loaded" aziot calls
check_equal "which sends nothing to the TPM" 0 "$(grep -c . "$work/commands")"
# The points of the checklist, each one of ours. The process has a configuration of OpenSSL that leaves it nothing to compute
# with, and the library must not care; tpm2-tss before 4.0 computes there itself, so with it the TPM comes first, and the rest second.
useless=$work/useless.cnf
mkdir -p "$work/interface/home"
if nm -D "$library" | grep -q Esys_SetCryptoCallbacks; then
    printf 'openssl_conf = i\n[i]\nproviders = p\n[p]\nbase = b\n[b]\nactivate = 1\n' >"$useless"
else
    sed 's/?provider=default/?provider=tpm2cloud/' "$srcdir/packaging/openssl.cnf" >"$useless"
fi
stock_preloaded env OPENSSL_CONF="$useless" TPM2CLOUD_TCTI="$counting" T2C_TCTI_LOG="$work/commands" \
    T2C_TCTI_TRAFFIC="$work/traffic" "$BUILD/aziot_conform" "$library" "$work/interface" >"$work/conformance" 2>"$work/conformance.log" || true
check_equal "the checklist of the interface is complete" "1..$(grep -Ec '^(not )?ok ' "$work/conformance")" \
    "$(grep '^1\.\.' "$work/conformance")"
while read -r line; do
    case $line in
    "ok "*) ok "interface: ${line#ok * - }" ;;
    "not ok "*) not_ok "interface: ${line#not ok * - }" ;;
    esac
done <"$work/conformance"
tpm_clean "interface"

# ---- after a restart ----

aziot calls create:pair create-key:enc import:sas create-key:gone delete-key:gone >"$work/out"
check "keys outlive keyd" aziot calls load:pair load-key:enc
check "a pair is loaded" aziot calls load:pair load:pair load:pair
check_equal "by one command, and none after" 1 "$(commands 00000157)"
check "it tells its parameters" aziot calls curve:pair point:pair size:pair
check_equal "which asks the TPM nothing" 0 "$(grep -c . "$work/commands")"
aziot calls sign:pair >"$work/out"
check "a first signature by a record costs 3 commands: Load, Sign, FlushContext" [ "$(grep -c . "$work/commands")" -le 3 ]
aziot calls sign:pair sign:pair sign:pair sign:pair sign:pair >"$work/out"
check_equal "five cost one Sign each" 5 "$(commands 0000015d)"
check_equal "and one Load" 1 "$(commands 00000157)"
aziot calls hmac:sas hmac:sas hmac:sas >"$work/out"
check_equal "three HMACs are three commands" 3 "$(commands 00000155)"
aziot calls create-key:handle-validation-key hmac:handle-validation-key >"$work/out"
aziot calls hmac:handle-validation-key >"$work/out"
once=$(grep -c . "$work/commands")
aziot calls hmac:handle-validation-key hmac:handle-validation-key create-key:handle-validation-key \
    verify:handle-validation-key >"$work/out"
check_equal "the key that is asked for with each request costs no command after the first" "$once" \
    "$(grep -c . "$work/commands")"

# ---- keys of the TPM by name ----

for location in tpm2cloud:ldevid 'pkcs11:token=tpm2cloud;object=ldevid' tpm2cloud:device; do
    check "$location is loaded, created and signs" \
        aziot "preloaded_key:device-id=$location" calls create:device-id load:device-id sign:device-id
    check_fails "$location is not removed" "which keyd may use and not remove" \
        aziot "preloaded_key:device-id=$location" calls delete:device-id
    check_fails "$location: nothing is moved onto it" "which keyd may use and not move" \
        aziot "preloaded_key:device-id=$location" calls create:device-id-temp move:device-id-temp:device-id
    check_fails "$location is not moved away" "which keyd may use and not move" \
        aziot "preloaded_key:device-id=$location" calls move:device-id:other
    check_fails "$location: nothing is imported" "which keyd may use and not replace" \
        aziot "preloaded_key:device-id=$location" calls import:device-id
done
aziot preloaded_key:device-id=tpm2cloud:ldevid calls sign:device-id >"$work/out"
check_equal "a persistent key signs by one command" 1 "$(grep -c . "$work/commands")"
aziot preloaded_key:device-id=tpm2cloud:ldevid calls point:device-id >"$work/out"
tpm2_readpublic -Q -c 0x81000002 -f der -o "$work/ldevid.der"
tpm2_flushcontext -t
point=$(openssl ec -pubin -inform der -in "$work/ldevid.der" -conv_form compressed -outform der 2>/dev/null |
    tail -c 33 | od -An -v -tx1 | tr -d ' \n')
check_equal "its point is what tpm2-tools reads" "$point" "$(sed -n 's/^point //p' "$work/out")"
# An IDevID signs digests of one hash alone, and an RSA one is padded by the TPM.
printf '\001\002\003' | cat - /dev/zero | head -c 32 >"$work/digest"
for alg in rsa-2048 ec-p256; do
    "$T2C" key create idevid --alg $alg >/dev/null
    tpm2_readpublic -Q -c 0x81020000 -f pem -o "$work/idevid.pem"
    tpm2_flushcontext -t
    call=sign digest=
    [ $alg = ec-p256 ] || call=private digest="-pkeyopt digest:sha256"
    aziot preloaded_key:est-bootstrap-id=tpm2cloud:idevid calls create:est-bootstrap-id $call:est-bootstrap-id >"$work/out"
    sed -n "s/^$call //p" "$work/out" | tr -d '\n' | sed 's/../\\x&/g' | xargs -0 printf %b >"$work/signature"
    check "an IDevID signs, $alg" openssl pkeyutl -verify -pubin -inkey "$work/idevid.pem" $digest -in "$work/digest" \
        -sigfile "$work/signature"
    [ $alg = ec-p256 ] || tpm2_evictcontrol -Q -C o -c 0x81020000 && rm -f "$work/keys/81020000.record"
done
"$T2C" key create p521 --alg ec-p521 >/dev/null
check "a key on P-521 signs" aziot preloaded_key:x=tpm2cloud:p521 calls sign:x
check_fails "and not what is longer than a digest" "a digest of 70 bytes; it signs SHA2-512, of 64" \
    aziot preloaded_key:x=tpm2cloud:p521 calls sign-long:x
check_fails "a token of others" "and was not brought over: tpm2cloud aziot migrate" \
    aziot 'preloaded_key:device-id=pkcs11:token=edge;object=x' calls load:device-id
check_fails "a name that is missing" "create it with: tpm2cloud key create nobody" \
    aziot preloaded_key:device-id=tpm2cloud:nobody calls load:device-id
check_fails "it is not made either" "create it with: tpm2cloud key create nobody" \
    aziot preloaded_key:device-id=tpm2cloud:nobody calls create:device-id

check "a name as aziotctl config apply writes it" \
    aziot 'preloaded_key:device-id=pkcs11:token=tpm2cloud;object=%6Cdevid' calls sign:device-id
check "a key by its handle" aziot 'preloaded_key:device-id=tpm2cloud:;handle=0x81000002' calls create:device-id sign:device-id

# ---- which algorithm ----

curve=06082a8648ce3d030107
bits() { # ID: of an RSA key's modulus
    aziot calls "modulus:$1" | sed -n 's/^modulus //p' | awk '{ print length($0) * 4 }'
}
for asked in 'rsa-2048:*' 'ec-p256:rsa-4096:*' '*' ec-p256; do # identityd and edged; certd
    check "asked for $asked" aziot calls "create:asked $asked:$asked"
    check_equal "asked for $asked: the key is EC" "$curve" "$(aziot calls "curve:asked $asked" | sed -n 's/^curve //p')"
done
check "RSA, where it is all that is asked for" aziot calls create:only-rsa:rsa-2048
check_equal "is made" 2048 "$(bits only-rsa)"
check "asked for rsa-2048:* where RSA is configured" aziot tpm2cloud_rsa=yes calls 'create:rsa:rsa-2048:*'
check_equal "it is made" 2048 "$(bits rsa)"
check "and stays when it no longer is" aziot tpm2cloud_rsa=no calls 'create:rsa:rsa-2048:*'
check_equal "RSA" 2048 "$(bits rsa)"
if tpm2_testparms rsa4096 >/dev/null 2>&1; then
    check "RSA of 4096 bits" aziot calls create:big:rsa-4096
    check_equal "has them" 4096 "$(bits big)"
else
    check_fails "a TPM that lacks what is asked for" 'this TPM has none of the algorithms "rsa-4096"' aziot calls create:big:rsa-4096
    check_equal "is RC 1" 1 "$(aziot calls create:big:rsa-4096 2>/dev/null | sed -n 's/^rc //p')"
    check "the next algorithm is tried" aziot calls create:big:rsa-4096:rsa-3072
    check_equal "and made" 3072 "$(bits big)"
fi
check_fails "nothing that is known" "there are ec-p256, rsa-2048, rsa-3072 and rsa-4096" aziot calls create:none:x25519

# ---- where the TPM is ----

away() { # aziot without the environment's word
    stock_preloaded env -u TPM2CLOUD_TCTI "$BUILD/aziot_calls" "$library" "$home" "$@"
}
check "keyd's configuration says where the TPM is" away "tpm2cloud_tcti=swtpm:path=$work/tpm" calls sign:pair
check_fails "it wins over tpm2cloud.conf" "no TPM at device:$work/none" \
    away "tpm2cloud_tcti=device:$work/none" calls sign:pair
check "and the environment over it" aziot "tpm2cloud_tcti=device:$work/none" calls sign:pair
check "it is only taken down" away "tpm2cloud_tcti=device:$work/none" calls curve:pair
check_fails "a mistake in our own names" "there are tpm2cloud, tpm2cloud_rsa and tpm2cloud_tcti" away tpm2cloud_tcit=device calls
away something=else calls curve:pair >/dev/null 2>"$work/err"
check_equal "what is not known is told once" \
    "<4>libaziot_keys: something: a parameter of [aziot_keys] that is not known, and ignored" "$(cat "$work/err")"

# ---- a preloaded file, as the stock library takes it ----

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/soft.pem" 2>/dev/null
check "a preloaded file signs" aziot "preloaded_key:est-id=file://$work/soft.pem" calls create:est-id sign:est-id
check "a key of the TPM is moved onto it" aziot "preloaded_key:est-id=file://$work/soft.pem" calls \
    create:est-id-temp move:est-id-temp:est-id sign:est-id
check "and is found there" grep -q "BEGIN TSS2 PRIVATE KEY" "$work/soft.pem"
check "by openssl, too" conf_ssl pkey -in "$work/soft.pem" -pubout -out "$work/soft.pub"

check "a preloaded file that is missing gets a key of the TPM" aziot "preloaded_key:est-id=file://$work/new.pem" calls \
    create:est-id sign:est-id
check "as a file that others can use" conf_ssl pkey -in "$work/new.pem" -pubout -out "$work/new.pub"
check_equal "which is keyd's alone" 600 "$(stat -c %a "$work/new.pem")"

# ---- what is no good stays ----

record=$(find "$home/keys" -name 'pair-*.tpm')
cp "$record" "$work/good"
spoil() { # WHAT MESSAGE
    cp "$record" "$work/spoilt"
    check_fails "$1: is told" "$2" aziot calls load:pair
    check_equal "$1: with RC 2" 2 "$(aziot calls load:pair 2>/dev/null | sed -n 's/^rc //p')"
    check_fails "$1: no other is made" "$2" aziot calls create:pair
    check "$1: and it stays" cmp "$work/spoilt" "$record"
    cp "$work/good" "$record"
}
head -c 100 "$work/good" >"$record"
spoil "a record that is cut" "the key record is damaged, or not one"
printf '\241gversion\002' >"$record"
spoil "a newer record" "the key record has version 2, and this library knows 1; install the tpm2cloud that wrote it"
: >"$record"
spoil "an empty record" "the key record is damaged, or not one"
cp "$(find "$home/keys" -name 'enc-*.tpm')" "$record"
check_fails "a record of another kind" "it is a symmetric key, and no key pair" aziot calls load:pair
cp "$work/good" "$record"
check "the good one is the same again" aziot calls load:pair sign:pair

# ---- another TPM, or a cleared one ----

tpm2_clear -Q -c p 2>/dev/null || tpm2_clear -Q
"$T2C" key create srk >/dev/null 2>&1
"$T2C" key pin srk --replace >/dev/null
for call in load create sign; do
    check_fails "after the TPM was cleared, $call" "this TPM was cleared since it was made" aziot calls $call:pair
    check_equal "is RC 2" 2 "$(aziot calls $call:pair 2>/dev/null | sed -n 's/^rc //p')"
done
check_fails "a symmetric key" "this TPM was cleared since it was made" aziot calls load-key:enc
check_fails "a name" "the key was removed, or the TPM was cleared" aziot preloaded_key:device-id=tpm2cloud:ldevid calls create:device-id
check "what is public is told all the same" aziot calls curve:pair point:pair
check "the record stays" cmp "$work/good" "$record"
tpm_clean "all"
finish
