#!/bin/sh
# tpm2cloud key delete, and what verbs of keys and certificates say with --json: a key that goes is gone from the TPM or the disk,
# what others need stays, and programs read the same members everywhere.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap tpm2_readpublic python3
tpm_start
persistent() {
    tpm2_getcap handles-persistent | sed 's/^- //' | tr '\n' ' '
}
# said EXPRESSION COMMAND...: that command's --json, as J, makes the Python expression true.
said() {
    expression=$1
    shift
    "$@" --json >"$work/json" && python3 -c '
import base64, json, hashlib, sys
J = json.load(open(sys.argv[1]))
sha = lambda b64: hashlib.sha256(base64.b64decode(b64)).hexdigest()
sys.exit(0 if eval(sys.argv[2]) else "%s: %s" % (sys.argv[2], J))' "$work/json" "$expression"
}

# ---- for programs ----

check "a key is made" said 'J["name"] == "ldevid" and J["made"] is True and J["handle"] == "0x81000002"' "$T2C" key create ldevid
check "or there" said 'J["made"] is False and J["algorithm"] == "ec-p256"' "$T2C" key create ldevid
check "one in a file has no handle" said 'J["handle"] is None and J["algorithm"] == "rsa-2048"' "$T2C" key create pump --alg rsa-2048
tpm2_readpublic -Q -c 0x81000002 -f der -o "$work/pub.der" -n "$work/name"
check "show: the TPM's Name" said "J['tpm_name'] == '$(od -An -tx1 -v "$work/name" | tr -d ' \n')'" "$T2C" key show ldevid
check "show: the public key" said "J['key_sha256'] == '$(sha256sum <"$work/pub.der" | cut -d' ' -f1)' == sha(J['public_der'])" \
    "$T2C" key show ldevid
check "pin" said 'J["name"] == "ldevid" and J["wants_auth"] is False' "$T2C" key pin ldevid
"$T2C" key pem pump --out "$work/pump.pem"
check "pem: what stands for the key" said "J['der'] == '$(grep -v -e ----- "$work/pump.pem" | tr -d '\n')' and J['out'] is None" \
    "$T2C" key pem pump
check "csr: the request" said "J['name'] == 'ldevid' and sha(J['der'])" "$T2C" csr ldevid --subject /CN=dev
python3 -c 'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(open(sys.argv[1]))["der"]))' "$work/json" >"$work/csr.der"
check "which openssl verifies" openssl req -in "$work/csr.der" -inform DER -verify -noout
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -subj /CN=ca -out "$work/ca.pem" 2>/dev/null
openssl x509 -req -in "$work/csr.der" -inform DER -CA "$work/ca.pem" -CAkey "$work/ca.key" -out "$work/ldevid.pem" 2>/dev/null
check "cert import: where it is, and its key" said \
    "J['place'] == '$work/certs/ldevid.pem' and J['chain'][0]['key_sha256'] == '$(sha256sum <"$work/pub.der" | cut -d' ' -f1)'" \
    "$T2C" cert import ldevid "$work/ldevid.pem"
check "cert export: to a file" said "J['out'] == '$work/out.pem' and J['chain'][0]['subject'].replace(' ', '') == 'CN=dev'" \
    "$T2C" cert export ldevid --out "$work/out.pem"
check "which has it" cmp "$work/out.pem" "$work/ldevid.pem"
check "list" said '[(n["name"], n["handle"], n["has_key"], n["has_cert"]) for n in J["names"]] == [("srk", "0x81000001", True, False),
    ("ldevid", "0x81000002", True, True), ("pump", None, True, False)]' "$T2C" key list

# ---- delete ----

check_fails "the storage root key while others need it" "srk is what ldevid depends on" "$T2C" key delete srk
check_fails "the endorsement key" "it is not deleted" "$T2C" key delete ek --force
"$T2C" key create idevid >/dev/null
"$T2C" cert selfsign idevid --out "$work/idevid.pem" 2>/dev/null && "$T2C" cert import idevid "$work/idevid.pem" >/dev/null
check_fails "the factory's key" "the factory's: by it the device proves" "$T2C" key delete idevid
check_equal "all are there" "0x81000001 0x81000002 0x81020000 " "$(persistent)"
check "the owner's key" "$T2C" key delete ldevid
check_equal "and its certificate, are told" "ldevid: key at 0x81000002 is deleted
ldevid: its certificate stays; to delete that, too: --cert" "$(cat "$work/out")"
check_equal "it is gone, and no other" "0x81000001 0x81020000 " "$(persistent)"
check_equal "so is its record" "81000001.record 81020000.record pump.pem " "$(cd "$work/keys" && echo * | tr '\n' ' ')"
check "the certificate is there" cmp "$work/certs/ldevid.pem" "$work/ldevid.pem"
check "what is not there" said 'J["deleted"] is False and J["place"] is None and J["cert_deleted"] is True' "$T2C" key delete ldevid --cert
check_equal "but its certificate is gone now" "" "$(ls "$work/certs")"
check "once more" "$T2C" key delete ldevid --cert
check_equal "is nothing to do" "ldevid: there is no key
ldevid: there is no certificate" "$(cat "$work/out")"
check "a key in a file" said "J['deleted'] is True and J['place'] == '$work/keys/pump.pem'" "$T2C" key delete pump
echo MAMCAQE= | base64 -d >"$work/platform.der" # a SEQUENCE with a number in it, where platform certificates were kept
tpm2_nvdefine -Q -C p -s 5 0x01C90000 -a "ppwrite|ppread|authread|no_da|platformcreate"
tpm2_nvwrite -Q -C p -i "$work/platform.der" 0x01C90000
check "the factory's, by force, and its certificate" said 'J["place"] == "0x81020000" and J["cert_place"] == "NV index 0x01c90200"' \
    "$T2C" key delete idevid --cert --force
check_equal "has left the TPM, and what is no certificate has not" "- 0x1C90000" "$(tpm2_getcap handles-nv-index)"
head -c 32 /dev/urandom | base64 >"$work/sas.key"
"$T2C" sas import hub --from "file:$work/sas.key" >/dev/null
check_fails "the storage root key of a shared access key" "forget it first: tpm2cloud sas forget hub" "$T2C" key delete srk
"$T2C" sas forget hub >/dev/null
check "the storage root key that nobody needs any more" "$T2C" key delete srk
check_equal "nothing is left" " " "$(persistent) $(ls "$work/keys")"
tpm_clean "key delete"
finish
