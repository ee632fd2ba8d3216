#!/bin/sh
# A shared access key goes into the TPM and stays there: its tokens are those of others who have the key, and it is nowhere else.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm strace tpm2_readpublic tpm2_evictcontrol openssl /usr/bin/python3
tpm_start
key=$(openssl rand -base64 32)
other=$(openssl rand -base64 64 | tr -d '\n')
string="HostName=hub.azure-devices.net;DeviceId=pump-(1)*;SharedAccessKey=$key"
printf '%s\n' "$string" >"$work/string"
counting="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm"

# signed KEY RESOURCE EXPIRES [POLICY]: the token as one who has the key makes it, by the words of the specification
signed() {
    /usr/bin/python3 - "$@" <<'END'
import base64, hashlib, hmac, sys, urllib.parse
key, resource, expires, policy = (sys.argv[1:] + [''])[:4]
def encode(text):
    return ''.join('%%%02x' % ord(c) if c in "!'()*" else urllib.parse.quote(c, safe='') for c in text)
sr = encode(resource)
sig = base64.b64encode(hmac.new(base64.b64decode(key), (sr + '\n' + expires).encode(), hashlib.sha256).digest()).decode()
print('SharedAccessSignature sr=%s&sig=%s%s&se=%s' % (sr, encode(sig), '&skn=' + encode(policy) if policy else '', expires))
END
}
member() { # NAME: of the JSON in $work/token
    sed -n "s/.*\"$1\": \"\{0,1\}\([^\",}]*\).*/\1/p" "$work/token"
}
# same WHAT KEY RESOURCE POLICY ARGUMENTS...: the TPM's token is the one of KEY
same() {
    what=$1 with=$2 resource=$3 policy=$4
    shift 4
    "$T2C" sas token "$@" --json >"$work/token" 2>"$work/err"
    printf '%s\n' "$with" "$resource" "$policy" "$(member expires)" "$(member token)" >>"$work/tokens"
    check_equal "$what" "$(signed "$with" "$resource" "$(member expires)" "$policy")" "$(member token)"
}
here="hub.azure-devices.net/devices/pump-(1)*"
counted() { # COMMAND...: its TPM commands in $work/commands
    : >"$work/commands"
    env TPM2CLOUD_TCTI="$counting" T2C_TCTI_LOG="$work/commands" "$@"
}

# ---- in ----

check "a connection string is imported" "$T2C" sas import pump --from "$work/string"
check_equal "what still has the key is told" "pump: imported, for $here (0x81000101)
$work/string still has the key: remove it there if nothing else needs it" "$(cat "$work/out")"
same "its token is what the key makes" "$key" "$here" "" pump
now=$(date +%s)
check "good for an hour" [ $(($(member expires) - now)) -gt 3500 ]
same "for as long as asked" "$key" "$here" "" pump --ttl 30d
check "for 30 days" [ $(($(member expires) - now)) -gt 2591900 ]
same "for something else" "$key" "0ne00000001/registrations/pump" registration pump --resource 0ne00000001/registrations/pump \
    --key-name registration
tpm2_readpublic -c 0x81000101 >"$work/public"
check_equal "the TPM has an HMAC key that is fixed to it" "fixedtpm|fixedparent|userwithauth|noda|sign" \
    "$(sed -n '/^attributes/,/raw/s/ *value: //p' "$work/public")"
check_equal "of SHA-256" "hmac sha256" "$(sed -n '/^algorithm/,$s/^ *value: //p' "$work/public" | paste -sd ' ')"
counted "$T2C" sas token pump >"$work/out"
check_equal "a token costs one TPM command, TPM2_HMAC" 00000155 "$(cat "$work/commands")"
check "the same again is success" "$T2C" sas import pump --from "$work/string" --json
check_equal "and says so" "false pump-(1)* 0x81000101" \
    "$(sed 's/.*"imported": \([a-z]*\),.*"device": "\([^"]*\)".*"handle": "\([^"]*\)".*/\1 \2 \3/' "$work/out")"

# ---- other sources, other keys ----

printf %s "$other" | "$T2C" sas import bare --from - >"$work/out"
check_equal "a key alone, from standard input" "bare: imported (0x81000102)" "$(cat "$work/out")"
check_fails "it is for nothing unless that is said" "say what the token is for by --resource" "$T2C" sas token bare
same "of 64 bytes" "$other" "hub.net/devices/x" "" bare --resource hub.net/devices/x
check "from a credential" env CREDENTIALS_DIRECTORY="$work" "$T2C" sas import again --from cred:string
check "from a variable" env "KEY=HostName=h.net;SharedAccessKeyName=owner;SharedAccessKey=$other" "$T2C" sas import owner --from env:KEY
same "of a hub's policy" "$other" h.net owner owner
echo "HostName=h.net;DeviceId=d;ModuleId=\$edgeHub;SharedAccessKey=$other" >"$work/module"
"$T2C" sas import module --from "$work/module" >/dev/null
same "of a module" "$other" "h.net/devices/d/modules/\$edgeHub" "" module

# Microsoft's own SDK makes the same of all these.
peers=$srcdir/build/peers/dps
[ -w "$srcdir" ] || [ -d "$peers/node_modules" ] || peers=$work/peers
if command -v node >/dev/null && "$srcdir/test/dps/npm/build" "$peers" >"$work/build.log" 2>&1; then
    check_equal "so are they of azure-iot-common" "6 tokens" "$(env -u OPENSSL_MODULES NODE_PATH="$peers/node_modules" \
        node - "$work/tokens" <<'END'
const { SharedAccessSignature } = require('azure-iot-common');
const { encodeUriComponentStrict } = require('azure-iot-common/dist/authorization');
const lines = require('fs').readFileSync(process.argv[2], 'utf8').split('\n');
let n = 0;
for (let i = 0; i + 4 < lines.length; i += 5, n++) {
    const [key, resource, policy, expires, token] = lines.slice(i, i + 5);
    const theirs = SharedAccessSignature.create(encodeUriComponentStrict(resource), policy, key, Number(expires)).toString();
    if (theirs !== token) console.log(theirs + '\n' + token);
}
console.log(n + ' tokens');
END
    )"
else
    skip "so are they of azure-iot-common" "node or npm is missing, or Microsoft's packages cannot be had"
fi

# ---- what is refused ----

check_fails "another key by that name" "pump is the key of another host, device, module or policy" \
    "$T2C" sas import pump --from "$work/module"
printf '%s' "$string" | sed "s|Key=.*|Key=$other|" >"$work/rolled"
check_fails "a new key of the same device" "pump is another key; if it is to be replaced, add --replace" \
    "$T2C" sas import pump --from "$work/rolled"
same "the earlier one still works" "$key" "$here" "" pump
check_fails "no file" "No such file" "$T2C" sas import x --from "$work/none"
printf 'HostName=h.net;DeviceId=d;SharedAccessKey=%s!' "$key" >"$work/bad"
check_fails "no base64" "the shared access key is not base64" "$T2C" sas import x --from "$work/bad"
cp "$work/err" "$work/said"
check_fails "and the message has no part of it" "" grep -F -e "$(printf %.8s "$key")" "$work/said"
for given in "$string" "file:$string" "$key" "$other"; do
    check_fails "a key on the command line" "--from names a file, cred:ID, env:VAR or -, and never the key itself" \
        "$T2C" sas import x --from "$given"
    cp "$work/err" "$work/said"
    check_fails "which is not told" "" grep -F -e "$key" -e "$other" "$work/said"
done
check_fails "no time" "--ttl 0 is no time" "$T2C" sas token pump --ttl 0
check_fails "no such key" "tpm2cloud sas import nope --from FILE" "$T2C" sas token nope
check "nothing is left of them" sh -c "! ls '$work/keys' | grep -q '^x'"
check "a new key takes the place of the earlier" "$T2C" sas import pump --from "$work/rolled" --replace
same "its tokens are those of the new one" "$other" "$here" "" pump
check_equal "at the same handle" "0x81000101 0x81000102 0x81000103 0x81000104 0x81000105" \
    "$(tpm2_getcap handles-persistent | sed -n 's/- \(0x810001.*\)/\1/p' | paste -sd ' ')"

# ---- without the handle ----

tpm2_evictcontrol -Q -C o -c 0x81000101
same "a key whose handle is empty is loaded" "$other" "$here" "" pump
check_equal "and that is told" "tpm2cloud: pump is not at its handle 0x81000101 any more, and was loaded; to put it there \
again: tpm2cloud sas import" "$(cat "$work/err")"
check "it is imported again, and is there" "$T2C" sas import pump --from "$work/rolled"
counted "$T2C" sas token pump >"$work/out"
check_equal "for one command" 00000155 "$(cat "$work/commands")"
doctor() { # NAME: what it says of it
    "$T2C" doctor 2>"$work/err" | sed -n "s/^\([a-z ]*[a-z]\)  *sas $1  */\1: /p" | sed 's/;.*//'
}
check_equal "doctor looks at it" "ok: its key is at its handle" "$(doctor pump)"
tpm2_createprimary -Q -C o -G ecc -c "$work/primary"
tpm2_evictcontrol -Q -C o -c 0x81000101
tpm2_evictcontrol -Q -C o -c "$work/primary" 0x81000101
tpm2_flushcontext -t
same "another's key at the handle is not used" "$other" "$here" "" pump
check_equal "doctor tells that" "ok: its key is at no handle, and is loaded for each token" "$(doctor pump)"
check "forgetting leaves it there" "$T2C" sas forget pump
check "it is" tpm2_readpublic -c 0x81000101
check_equal "nothing else is" "" "$(find "$work/keys" -name 'pump*')"
check "to forget what is not there is success" "$T2C" sas forget pump
check_fails "there is no token any more" "there is no shared access key pump" "$T2C" sas token pump
check "a TPM without room for it" counted T2C_TCTI_FAULT=120:14b:9 "$T2C" sas import full --from "$work/string"
check_equal "says so" "tpm2cloud: full has no handle, and will be loaded for each token" "$(sed 's/: cannot.*//' "$work/err")"
same "its tokens are right" "$key" "$here" "" full
for name in bare again owner module full; do "$T2C" sas forget $name >/dev/null; done
check_equal "nothing is left in the TPM" "- 0x81000001 - 0x81000101" "$(tpm2_getcap handles-persistent | paste -sd ' ')"
printf x >>"$work/keys/broken.sas"
check_fails "a file that is none" "broken.sas cannot be read" "$T2C" sas token broken
check "is replaced on demand" "$T2C" sas import broken --from "$work/string" --replace
tpm_clean "sas"

# ---- killed while one key takes the place of another ----

openssl rand -base64 32 >"$work/one"
openssl rand -base64 32 >"$work/two"
"$T2C" sas import rolled --from "$work/one" >/dev/null
handles=$(tpm2_getcap handles-persistent)
killed() { # CALL TIMES KEY-FILE: at the call for that time
    ASAN_OPTIONS=detect_leaks=0 strace -f -o "$work/trace" -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" \
        "$T2C" sas import rolled --replace --from "$work/$3" >"$work/out" 2>&1
}
killed write 999 two
last=$(grep -c ' write(' "$work/trace") # from the end: what it says, FlushContext, EvictControl, Load, the file, GetCapability, EvictControl
rolled() { # of the key that it has: one or two
    have=$("$T2C" sas token rolled --resource r --json 2>"$work/err" | tee "$work/token" | sed 's/.*"token": "\([^"]*\)".*/\1/')
    for which in one two; do
        [ "$have" != "$(signed "$(cat "$work/$which")" r "$(member expires)")" ] || echo $which
    done
}
for point in write.$((last - 6)) renameat.1 write.$((last - 3)) write.$((last - 1)); do
    before=$(rolled)
    after=$([ "$before" = one ] && echo two || echo one)
    killed "${point%.*}" "${point#*.}" "$after"
    check_equal "killed at ${point%.*}, $((last - ${point#*.})) before the end" 137 $?
    tpm2_flushcontext -t
    check "it has the one key or the other" [ -n "$(rolled)" ]
    "$T2C" sas import rolled --replace --from "$work/$after" >"$work/out" 2>&1
    check_equal "and the other, when it is imported again" "$after" "$(rolled)"
done
check_equal "no handle was lost" "$handles" "$(tpm2_getcap handles-persistent)"
check_equal "nor a file left" "rolled.sas" "$(cd "$work/keys" && find . -name '*rolled*' | sed 's|^./||')"
"$T2C" sas forget rolled >/dev/null

# ---- where the key is: nowhere else ----

printf %s "$key" | base64 -d >"$work/raw"
# found FILE...: halves of the key in it, as base64 or as it is
found() {
    /usr/bin/python3 - "$work/raw" "$key" "$@" <<'END'
import sys
raw, text = open(sys.argv[1], 'rb').read(), sys.argv[2].encode()
halves = (('raw', raw[:16]), ('raw', raw[16:]), ('base64', text[:20]), ('base64', text[22:]))
for path in sys.argv[3:]:
    data = open(path, 'rb').read()
    for what, half in halves:
        for i in range(data.count(half)):
            print(path, what)
END
}
watched() { # COMMAND...: its traffic, and its memory when it ends
    rm -f "$work/memory"
    : >"$work/wire"
    counted T2C_TCTI_TRAFFIC="$work/wire" EXITDUMP="$work/memory" LD_PRELOAD="$BUILD/.libs/exitdump.so" "$@"
}
import_from() { # SOURCE VARIABLES...
    source=$1
    shift
    watched CREDENTIALS_DIRECTORY="$work" "$@" "$T2C" sas import secret --from "$source" <"$work/string" >"$work/said" 2>&1
    check_equal "from ${source##*/}: it is there" "secret: imported" "$(sed -n '1s/, .*//p' "$work/said")"
    check "from ${source##*/}: the memory was looked at" [ "$(wc -c <"$work/memory")" -gt 100000 ]
    check_equal "from ${source##*/}: nothing of the key in it, nor on the wire" "" "$(found "$work/memory" "$work/wire")"
}
if [ -n "$PRELOAD" ]; then
    skip "the memory of a command" "the sanitizer keeps what was freed"
    "$T2C" sas import secret --from "$work/string" >"$work/said"
else
    check_fails "a variable that is not read" "there is no shared access key nope" watched "KEY=$key" "$T2C" sas token nope
    check "is found in the memory: the search can fail" [ -n "$(found "$work/memory")" ]
    for source in "$work/string" - cred:string; do
        import_from "$source"
        "$T2C" sas forget secret >/dev/null
    done
    import_from env:KEY "KEY=$string"
    watched "$T2C" sas token secret >"$work/token"
    check_equal "nor when it signs" "" "$(found "$work/memory" "$work/wire")"
fi
# ---- the TPM is another one, or was cleared ----

tpm2_clear -c p
check_fails "a key of before" "the parent key is missing; create it with: tpm2cloud key create srk" "$T2C" sas token secret
"$T2C" key create srk >"$work/out"
check_fails "another storage root key" "the key belongs to another TPM, or this TPM was cleared" "$T2C" sas token secret
check "doctor says what to do" sh -c "'$T2C' doctor 2>&1 | grep -A 2 '^not ok  *sas secret' | grep -q 'sas import --replace'"
check "the key is imported again" "$T2C" sas import secret --replace --from "$work/string"
same "and signs" "$key" "$here" "" secret
check_equal "nor in any file of ours" "" "$(found "$work/keys"/* "$work/tpm2cloud.conf")"
tpm_clean "at the end"
finish
