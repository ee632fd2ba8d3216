#!/bin/sh
# tpm2cloud pkcs11 link: the LDevID, which is at a handle, answers from a token of tpm2-pkcs11, too: foreign programs sign with it,
# by a PIN that was on no command line.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/token.sh"
need swtpm openssl tpm2_ptool tpm2_changeauth pkcs11-tool python3
# Nothing that could be installed helps.
[ "$(getconf LONG_BIT)" -ne 32 ] || { echo "1..0 # SKIP OpenSC of 32 bits aborts when it reads an EC key"; exit 0; }
module=$(token_module)
[ -n "$module" ] || skip_all "tpm2-pkcs11 is not installed"
tpm_start
token_tools "$work/store"
rmdir "$work/store"
PATH=$work/token-bin:$PATH
pin=31415926 so_pin=27182818
printf '%s\n' $pin >"$work/pin"
link() {
    SO_PIN=$so_pin "$T2C" pkcs11 link --store "$work/store" --pin-from "file:$work/pin" --so-pin-from env:SO_PIN "$@"
}
pkcs11() {
    env -u OPENSSL_MODULES TSS2_LOG=all+NONE pkcs11-tool --module "$module" "$@" 2>"$work/pkcs11.log"
}
# signs TOKEN NAME: openssl verifies, by the public key of our own, what the token signs.
signs() {
    head -c 32 /dev/urandom >"$work/digest"
    "$T2C" key show "$2" | sed -n '/BEGIN/,$p' >"$work/public.pem"
    pkcs11 --token-label "$1" --login --pin "$pin" --sign --mechanism ECDSA --signature-format openssl --label ldevid \
        -i "$work/digest" -o "$work/sig" >/dev/null && openssl pkeyutl -verify -pubin -inkey "$work/public.pem" -in "$work/digest" -sigfile "$work/sig"
}

check_fails "without an LDevID" "tpm2cloud key create ldevid" link
"$T2C" key create ldevid >/dev/null
check_fails "without a PIN" "--pin-from is missing" "$T2C" pkcs11 link --store "$work/store"
check "nothing was made" test ! -e "$work/store"

# ---- by a PIN that nobody sees ----

cat >"$work/sampler" <<'PYTHON'
import os, sys, time
# What stands on command lines until the file of the first word is there: PINs, which the other words are, and what tpm2-tools
# are to authorize by.
work = os.path.dirname(sys.argv[1]).encode()
secrets = [word.encode() for word in sys.argv[2:]]
seen, ptool = set(), False
open(sys.argv[1] + ".ready", "w")
while not os.path.exists(sys.argv[1]):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid, "rb").read()
            ours = work in open("/proc/%s/environ" % pid, "rb").read()
        except OSError:
            continue
        if not ours or b"sampler" in words:
            continue
        ptool = ptool or b"tpm2_pkcs11" in words
        words = words.split(b"\0")
        seen.update(secret for secret in secrets if secret in words)
        seen.update(what for option, what in zip(words, words[1:]) if option in (b"-p", b"-P") and what and not what.startswith(b"file:"))
    time.sleep(0.002)
sys.exit("on a command line: %s" % seen if seen else 0 if ptool else "nothing was seen")
PYTHON
python3 "$work/sampler" "$work/stop" $pin $so_pin 2>"$work/sampler.log" &
sampler=$!
pids="$pids $sampler"
wait_for 10 test -e "$work/stop.ready"
check "it is linked" link --token plant --json
cp "$work/out" "$work/json"
check "and says where" python3 -c '
import json, sys
J = json.load(open(sys.argv[1]))
sys.exit(not (J["made"] and J["token"] == "plant" and J["place"] == sys.argv[2]))' "$work/json" "$work/store"
touch "$work/stop"
wait $sampler
check_equal "no PIN was on a command line" "0 " "$? $(cat "$work/sampler.log")"
check_equal "the store is nobody else's" 700 "$(stat -c %a "$work/store")"
check "the token signs with the LDevID" signs plant ldevid
check "which signs at its handle as before" "$T2C" csr ldevid --subject /CN=x
check_fails "a wrong PIN does not open it" "" pkcs11 --token-label plant --login --pin 11112222 --sign --mechanism ECDSA \
    --label ldevid -i "$work/digest" -o "$work/sig"

# ---- again, and beside others ----

before=$(sha256sum "$work/store/tpm2_pkcs11.sqlite3")
check "once more" link --token plant
check_equal "is nothing to do" "ldevid: is in the token plant in $work/store" "$(cat "$work/out")"
if [ "$(id -u)" -eq 0 ]; then
    chown 4711:4712 "$work/store" # the file is root's, as one leaves it that is killed now
    check "in a directory of another" link --token plant
    check_equal "what root made is theirs" "4711:4712 600" "$(stat -c '%u:%g %a' "$work/store/tpm2_pkcs11.sqlite3")"
    chown -R 0:0 "$work/store"
else
    skip "in a directory of another" "not root"
    skip "what root made is theirs" "not root"
fi
ptool addtoken --pid 1 --sopin x --userpin $pin --label other && ptool addkey --label other --userpin $pin --algorithm ecc256 --key-label ldevid
before=$(sha256sum "$work/store/tpm2_pkcs11.sqlite3")
check_fails "a token of another" "the token other in $work/store has other objects" link --token other
check_equal "stays as it is" "$before" "$(sha256sum "$work/store/tpm2_pkcs11.sqlite3")"
ptool addtoken --pid 1 --sopin x --userpin 99999999 --label foreign
check_fails "an empty one, as an interruption leaves it, but with another PIN" "tpm2_ptool: " link --token foreign
printf 99999999 >"$work/pin"
check "with its own" link --token foreign
pin=99999999
check "it signs, too" signs foreign ldevid

# ---- a key with an authorization value ----

"$T2C" key delete ldevid >/dev/null
printf key-secret >"$work/auth"
"$T2C" key create ldevid --auth "file:$work/auth" >/dev/null
check_fails "a key that wants an authorization value" "authorization value" link --token guarded
check "with it" link --token guarded --auth "file:$work/auth"
check "the token signs, by its PIN alone" signs guarded ldevid
tpm_clean "pkcs11 link"
finish
