#!/bin/sh
# What an operator gets wrong at 3 a.m., and what the command line says then.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm tpm2_nvdefine openssl
tpm_start

# Words.
check_fails "no such command" 'unknown command "kye"; did you mean "key"? see tpm2cloud --help' "$T2C" kye create x
check_fails "nothing like it" 'unknown command "frobnicate"; see tpm2cloud --help' "$T2C" frobnicate
check_fails "a verb without noun" 'unknown command "show"; it is a verb of key, cert, ek, dps; see tpm2cloud --help' "$T2C" show ldevid
check_fails "an option that stands alone" 'did you mean "--version"?' "$T2C" --verison
check_fails "a noun without verb" '"key" wants a verb; there are create, list, show, pem, pin, delete; see tpm2cloud help key' "$T2C" key
check_fails "with another" '"key" wants a verb, not "make"; there are create,' "$T2C" key make ldevid
check_fails "with a mistyped one" '"key" wants a verb, not "craete"; did you mean "create"? see tpm2cloud help key' \
    "$T2C" key craete ldevid
check_fails "help for a mistyped one" 'did you mean "renew"?' "$T2C" help reenw
check_fails "a missing argument" "an argument is missing" "$T2C" key create
check_fails "and the usage" "usage: tpm2cloud key create NAME" "$T2C" key create
check_fails "a mistyped option" "unknown option --algo; did you mean --alg?" "$T2C" key create ldevid --algo ec-p256
check_fails "with its value" "unknown option --agl; did you mean --alg?" "$T2C" key create ldevid --agl=ec-p256
check_fails "an unknown option" "unknown option --force; known are: --alg, --auth, --decrypt" "$T2C" key create ldevid --force
check_fails "an option without value" "option --alg wants a value" "$T2C" key create ldevid --alg
check_fails "an unknown algorithm" 'unknown algorithm "ed25519"; use ec-p256,' "$T2C" key create ldevid --alg ed25519
check_fails "a storage root of an odd algorithm" "there is no template of a storage root key with the algorithm ec-p521" \
    "$T2C" key create srk --alg ec-p521
check_fails "a name that could leave the directory" '"../x" is not a name' "$T2C" key create ../x
check_fails "a request without subject" "--subject is missing" "$T2C" csr ldevid
"$T2C" kye >/dev/null 2>&1
check_equal "a wrong command line exits with 2" 2 $?
check "help is no mistake" "$T2C" --help
check_equal "and the version is told" "tpm2cloud 0" "$("$T2C" --version | cut -c1-11)"

# Nothing there yet.
check_fails "no such identity" "this TPM has no ldevid (nothing at handle 0x81000002); create it with: tpm2cloud key create ldevid" \
    "$T2C" csr ldevid --subject /CN=x
check_fails "no such key" "there is no key pump (no $work/keys/pump.pem); create it with: tpm2cloud key create pump" \
    "$T2C" key pem pump
check_fails "no certificate in the TPM" "this TPM holds no certificate of idevid (NV index 0x01c90200)" "$T2C" cert export idevid
check_fails "no certificate file" "there is no certificate of pump (no $work/certs/pump.pem); import one with: tpm2cloud cert import pump FILE" \
    "$T2C" cert export pump
check_fails "an unreadable certificate" "cannot open $work/nothing.pem: No such file" "$T2C" cert import ldevid "$work/nothing.pem"
echo rubbish >"$work/rubbish.pem"
check_fails "rubbish for a certificate" "$work/rubbish.pem: no PEM certificate in it" "$T2C" cert import ldevid "$work/rubbish.pem"

# Subjects and names in requests.
"$T2C" key create ldevid >/dev/null
check_fails "a subject without slash" 'subject "CN=x" must begin with /, as in /CN=device-1/O=Example' "$T2C" csr ldevid --subject CN=x
check_fails "a subject without value" 'subject: "CN=" is not TYPE=VALUE' "$T2C" csr ldevid --subject /CN=
check_fails "an unknown part of a subject" "subject: cannot take ZZ=1" "$T2C" csr ldevid --subject /ZZ=1
check_fails "a bad alternative name" 'cannot make the extension subjectAltName from "DNS"' "$T2C" csr ldevid --subject /CN=x --san DNS
check_fails "an output that cannot be written" "cannot create a file in $work/none: No such file" \
    "$T2C" csr ldevid --subject /CN=x --out "$work/none/x.csr"

# Output that is no plain file is written to, not replaced.
mkfifo "$work/pipe"
cat "$work/pipe" >"$work/piped" &
pids="$pids $!"
check "a pipe as output" "$T2C" key pem ldevid --out "$work/pipe"
check "got the text" wait_for 15 grep -q 'END TPM2CLOUD KEY URI' "$work/piped"
check "and is still a pipe" test -p "$work/pipe"
echo old >"$work/target.pem"
ln -s target.pem "$work/link.pem"
check "a symbolic link as output" "$T2C" key pem ldevid --out "$work/link.pem"
check "leads to the file that changed" grep -q 'END TPM2CLOUD KEY URI' "$work/target.pem"
check "and is still a link" test -L "$work/link.pem"
check_fails "a full device" "/dev/full: No space left" "$T2C" key pem ldevid --out /dev/full
check_fails "a full standard output" "cannot write to standard output" sh -c "'$T2C' key pem ldevid >/dev/full"
check_fails "help into a full device" "" sh -c "'$T2C' --help >/dev/full"
check "help wherever it is asked for" "$T2C" key create --help ldevid
check_equal "and of what" "usage: tpm2cloud key create NAME" "$(head -n 1 "$work/out" | cut -d ' ' -f 1-5)"
check_equal "help of a verb is the same" "$(cat "$work/out")" "$("$T2C" help key create)"
check_equal "help of a noun has its verbs" "clean configure migrate rollback" \
    "$("$T2C" help aziot | sed -n 's/^  aziot \([a-z]*\).*/\1/p' | sort | xargs)"
"$T2C" key create pipe-user >/dev/null
"$T2C" csr pipe-user --subject /CN=x --san "$(seq -s , -f 'DNS:n%g.example' 9000)" 2>/dev/null | true
tpm_clean "after a reader that went away"

# Two at once.
"$T2C" key create twin >"$work/one" 2>&1 &
first=$!
"$T2C" key create twin >"$work/two" 2>&1
status=$?
wait $first
check_equal "two that create one key both succeed" "0 0" "$? $status"
check_equal "and one of them made it" "twin: created twin: exists" "$(sed 's/ (.*//' "$work/one" "$work/two" | sort | paste -sd' ')"
"$T2C" key create iak >"$work/one" 2>&1 &
first=$!
"$T2C" key create iak >"$work/two" 2>&1
status=$?
wait $first
check_equal "two that create one identity both succeed" "0 0" "$? $status"
tpm2_evictcontrol -Q -C o -c 0x81020001

# A damaged key file, and one for another TPM.
mkdir -p "$work/keys"
echo rubbish >"$work/keys/pump.pem"
check_fails "a damaged key file is named" "$work/keys/pump.pem: no PEM block \"TSS2 PRIVATE KEY\" in it" "$T2C" csr pump --subject /CN=x
check_fails "and not overwritten" "$work/keys/pump.pem: no PEM block" "$T2C" key create pump
check_equal "it is as it was" rubbish "$(cat "$work/keys/pump.pem")"

printf -- '-----BEGIN TSS2 PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END TSS2 PRIVATE KEY-----\n' \
    >"$work/keys/encrypted.pem"
check_fails "an encrypted key file asks nobody" "$work/keys/encrypted.pem: no PEM block" setsid "$T2C" csr encrypted --subject /CN=x
rm "$work/keys/encrypted.pem" "$work/keys/pump.pem"
check "a certificate from standard input" sh -c "'$ESTCA' init '$work/pki' >/dev/null && '$T2C' csr ldevid --subject /CN=x --out '$work/x.csr' &&
    '$ESTCA' sign '$work/pki' --csr '$work/x.csr' | '$T2C' cert import ldevid -"

# A handle that somebody else uses.
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx" && tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81020000
tpm2_flushcontext -t
check_fails "an occupied handle: what sits there, and how to remove it" \
    "handle 0x81020000 is occupied by another key (ec-p256, fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt) that is no idevid; if nothing needs it, remove it with: tpm2_evictcontrol -C o -c 0x81020000" \
    "$T2C" key create idevid
check_equal "it still sits there" 1 "$(tpm2_getcap handles-persistent | grep -c 0x81020000)"
tpm2_evictcontrol -Q -C o -c 0x81020000

# A storage root made by other tools is used as it is.
tpm2_evictcontrol -Q -C o -c 0x81000001
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx" && tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81000001
tpm2_flushcontext -t
check "a foreign storage root serves" "$T2C" key create fan
check "and keeps its algorithm" sh -c "'$T2C' key show srk | grep -q 'algorithm:  ec-p256'"
check "its keys sign" sh -c "'$T2C' csr fan --subject /CN=fan | openssl req -noout -verify"

# No room.
"$ESTCA" init "$work/pki" >/dev/null
"$T2C" key create idevid >/dev/null
"$T2C" csr idevid --subject /CN=idevid --out "$work/idevid.csr"
"$ESTCA" sign "$work/pki" --csr "$work/idevid.csr" --out "$work/idevid.crt"
openssl x509 -in "$work/idevid.crt" -outform DER -out "$work/leaf.der"
openssl x509 -in "$work/pki/ca.pem" -outform DER -out "$work/issuer.der"
bytes=$(($(stat -c %s "$work/leaf.der") + $(stat -c %s "$work/issuer.der")))
index=0
while tpm2_nvdefine -Q -C o -s 2048 $((0x01500000 + index)) 2>/dev/null; do
    index=$((index + 1))
done
while tpm2_nvdefine -Q -C o -s 64 $((0x01500000 + index)) 2>/dev/null; do
    index=$((index + 1))
done
check_fails "a TPM without room for a certificate" "cannot define NV index 0x01c90200 for $bytes bytes: TPM answered 0x14b" \
    "$T2C" cert import idevid "$work/idevid.crt"
check_fails "and what to do about it" "the TPM has no room left: list what it holds with tpm2_getcap handles-persistent" \
    "$T2C" cert import idevid "$work/idevid.crt"
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx" && tpm2_flushcontext -t
slot=0
while tpm2_evictcontrol -Q -C o -c "$work/p.ctx" $((0x81000100 + slot)) 2>/dev/null; do
    slot=$((slot + 1))
    tpm2_flushcontext -t
done
tpm2_flushcontext -t
check_fails "a TPM without room for a key" "cannot persist the key at handle 0x81020001: TPM answered 0x" "$T2C" key create iak
tpm_clean "after a failed creation"
for i in 0 1 2; do tpm2_nvundefine -Q -C o $((0x01500000 + i)); done
check "with room it works" "$T2C" cert import idevid "$work/idevid.crt"

# An import that was interrupted: an index that is defined but not written, and one that is half written.
for written in 0 300; do
    tpm2_nvundefine -Q -C p 0x01C90200
    tpm2_nvdefine -Q -C p -s "$bytes" -a "ppwrite|ppread|ownerread|authread|no_da|platformcreate" 0x01C90200
    [ $written -eq 0 ] || openssl x509 -in "$work/idevid.crt" -outform DER | head -c $written | tpm2_nvwrite -Q -C p -i - 0x01C90200
    check_fails "$written of $bytes bytes written: no certificate" "" "$T2C" cert export idevid
    check "$written of $bytes bytes written: importing again completes it" "$T2C" cert import idevid "$work/idevid.crt"
    check "$written of $bytes bytes written: it is whole" sh -c "'$T2C' cert export idevid | cmp - '$work/idevid.crt'"
done

# One that is killed after the first of two chunks, the second of which begins in the signature, where everything will do.
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=rsa -days 30 -keyout "$work/rsa.key" -out "$work/rsa.pem" 2>/dev/null
printf '1.2.3.4 = ASN1:UTF8:%s\n' "$(head -c 700 /dev/zero | tr '\0' x)" >"$work/ext"
openssl x509 -req -in "$work/idevid.csr" -CA "$work/rsa.pem" -CAkey "$work/rsa.key" -set_serial 1 -days 30 -extfile "$work/ext" \
    -out "$work/long.crt" 2>/dev/null
openssl x509 -in "$work/long.crt" -outform DER -out "$work/long.der"
bytes=$(stat -c %s "$work/long.der")
check "a certificate of $bytes bytes, whose signature is in two chunks" test "$bytes" -gt 1024 -a "$bytes" -lt 1280
tpm2_nvundefine -Q -C p 0x01C90200
(exec env TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:$TPM2TOOLS_TCTI" T2C_TCTI_KILL=137:2 "$T2C" cert import idevid "$work/long.crt") 2>/dev/null
check_equal "an import is killed" 137 $?
check_fails "and leaves no certificate" "no PEM certificate in it" "$T2C" cert export idevid
check "importing again completes it" "$T2C" cert import idevid "$work/long.crt"
check "it is whole" sh -c "'$T2C' cert export idevid | cmp - '$work/long.crt'"

# What others put there: it is known in every form, and nothing that may be of use is replaced.
put() { # FILE [BYTES]
    tpm2_nvundefine -Q -C p 0x01C90200
    tpm2_nvdefine -Q -C p -s "${2:-$(stat -c %s "$1")}" -a "ppwrite|ppread|ownerread|authread|no_da|platformcreate" 0x01C90200
    tpm2_nvwrite -Q -C p -i "$1" 0x01C90200
}
head -c 1024 "$work/long.der" >"$work/begun"
put "$work/begun" "$bytes"
check "what is written from its beginning, and cut in its signature" "$T2C" cert import idevid "$work/long.crt"
check "is completed" sh -c "'$T2C' cert export idevid | cmp - '$work/long.crt'"
put "$work/long.der" 1600
check "the same certificate with padding behind it" "$T2C" cert import idevid "$work/long.crt"
put "$work/long.crt"
check "and as PEM" "$T2C" cert import idevid "$work/long.crt"
check "stays as it is" sh -c "tpm2_nvread -C p 0x01C90200 | cmp - '$work/long.crt'"
put "$work/leaf.der" 1600
check_fails "the same without its issuer" \
    "holds this very certificate of idevid, with 0 certificates above it instead of 1; to have these there, remove it with: tpm2_nvundefine -C p 0x01c90200" \
    "$T2C" cert import idevid "$work/idevid.crt"
check_fails "another" "NV index 0x01c90200 holds another certificate of idevid" "$T2C" cert import idevid "$work/long.crt"
openssl req -in "$work/idevid.csr" -outform DER -out "$work/other.der"
put "$work/other.der" 1600
check_fails "what is whole and no certificate" "holds something that is whole and no certificate of idevid, such as a platform certificate" \
    "$T2C" cert import idevid "$work/long.crt"
check "stays" sh -c "tpm2_nvread -C p -s $(stat -c %s "$work/other.der") 0x01C90200 | cmp - '$work/other.der'"

# An endorsement key in one place and a certificate in another.
"$T2C" key create ek --alg ec-p256 >"$work/ek"
check_equal "the EK that was made is the one that is told" "ek: created (ec-p256, 0x8101000a)" "$(cat "$work/ek")"
tpm2_nvundefine -Q -C o 0x01500003
openssl x509 -in "$work/idevid.crt" -outform DER -out "$work/rsa-ek.der"
tpm2_nvdefine -Q -C o -s "$(stat -c %s "$work/rsa-ek.der")" 0x01C00002 && tpm2_nvwrite -Q -C o -i "$work/rsa-ek.der" 0x01C00002
check_fails "the certificate of another EK is not taken for its own" "this TPM holds no certificate of ek (NV index 0x01c0000a)" \
    "$T2C" cert export ek

# Configuration.
check_fails "a conf file that is named but missing" "configuration: cannot open $work/none.conf: No such file" \
    env TPM2CLOUD_CONF="$work/none.conf" "$T2C" key list
printf 'keys_dri = /x\n' >"$work/bad.conf"
check_fails "an unknown key at the top" "$work/bad.conf: unknown key \"keys_dri\" in the top of the file" \
    env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
printf '[tpm]\ntcti = x\n' >"$work/bad.conf"
check_fails "an unknown section" "$work/bad.conf: unknown section [tpm]" env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
printf 'keys_dir = /x\nrubbish\n' >"$work/bad.conf"
check_fails "a syntax error, with its line" "$work/bad.conf: line 2: missing equal sign" \
    env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
printf 'profile = custom\n' >"$work/bad.conf"
check_fails "an unknown profile" "profile custom is not known; this version knows: tcg, iotedge-tpm2cloud" \
    env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
check_fails "a directory for a conf file" "$work is no regular file" env TPM2CLOUD_CONF="$work" "$T2C" key list
printf 'keys_dir =\n' >"$work/bad.conf"
check_fails "an empty directory" "keys_dir =  must be an absolute path" env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
printf 'certs_dir = certs\n' >"$work/bad.conf"
check_fails "a relative directory" "certs_dir = certs must be an absolute path" env TPM2CLOUD_CONF="$work/bad.conf" "$T2C" key list
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    printf 'tcti = x\n' >"$work/secret.conf"
    chmod 700 "$work"
    chmod 600 "$work/secret.conf"
    check_fails "an unreadable conf file" "configuration: cannot open $work/secret.conf: Permission denied" \
        env TPM2CLOUD_CONF="$work/secret.conf" setpriv --reuid 65534 --regid 65534 --clear-groups "$T2C" key list
else
    skip "an unreadable conf file" "needs root to become somebody else"
fi

# No TPM.
printf 'tcti = swtpm:path=%s/nobody\n' "$work" >"$work/tcti.conf"
check_fails "no TPM at the configured place" "no TPM at swtpm:path=$work/nobody" \
    env -u TPM2CLOUD_TCTI TPM2CLOUD_CONF="$work/tcti.conf" "$T2C" status
check_fails "no TPM device" "no TPM at device:/dev/none: No such file or directory; is there a TPM, and is it enabled in the firmware?" \
    env TPM2CLOUD_TCTI=device:/dev/none "$T2C" status
check_fails "a TCTI that is too long" "the TCTI is longer than 511 characters" \
    env TPM2CLOUD_TCTI="swtpm:path=/$(head -c 600 /dev/zero | tr '\0' x)" "$T2C" status
check_fails "no such TCTI" "no TPM at nonsense:x" env TPM2CLOUD_TCTI=nonsense:x "$T2C" status
finish
