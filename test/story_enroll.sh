#!/bin/sh
# The first certificate of a key, by a verb alone: from an EST server by a secret header, by a password, by another key's certificate, and
# from a CA in files. What is there is asked for once, what fails leaves no trace, and no secret is where it could be read.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl tpm2_nvreadpublic tpm2_flushcontext
tpm_start
for key in idevid iak ldevid app; do
    "$T2C" key create $key >/dev/null || skip_all "the TPM makes no key $key"
done
# The estd that is run: it writes down what the arguments of all processes are, and what is on the disk.
mkdir "$work/bin" "$work/seen"
cat >"$work/bin/estd" <<END
#!/bin/sh
cat "/proc/\$PPID/cmdline" "/proc/\$\$/cmdline" >>"$work/seen/arguments"
cp -r "$work/enroll" "$work/seen/\$\$"
[ ! -e "$work/kill-early" ] || kill -9 "\$PPID"
"$ESTD" "\$@"
code=\$?
[ ! -e "$work/kill-late" ] || kill -9 "\$PPID"
exit \$code
END
chmod +x "$work/bin/estd"
PATH=$work/bin:$PATH
printf 'correct horse 7\nsecond line\n' >"$work/secret"
printf 'battery staple 8\n' >"$work/password"
printf 'wrong 9\n' >"$work/wrong"

# serve NAME ARGUMENTS...: that CA; $est is its URL, $root its root
serve() {
    ca_serve "$@"
    est=https://localhost:$port/.well-known/est root=$work/$1/root.pem
}
# enroll NAME HOW ARGUMENTS...: at $est
enroll() {
    name=$1 how=$2
    shift 2
    "$T2C" enroll "$name" --auth "$how" --url "$est" --trust "$root" "$@"
}
by_secret() {
    name=$1
    shift
    enroll "$name" secret --subject "/CN=$name-1" --secret-from "file:$work/secret" "$@"
}
by_password() {
    name=$1
    shift
    enroll "$name" basic --subject "/CN=$name-1" --user 'device 1' --password-from "file:$work/password" "$@"
}
# verified NAME SUBJECT: openssl verifies what is stored, and it is that of the key
verified() {
    "$T2C" cert export "$1" --out "$work/$1.chain" && openssl verify -CAfile "$root" -untrusted "$work/$1.chain" "$work/$1.chain" &&
        [ "$(openssl x509 -in "$work/$1.chain" -noout -subject -nameopt RFC2253)" = "subject=$2" ] &&
        openssl x509 -in "$work/$1.chain" -noout -pubkey >"$work/$1.pub" && ssl pkey -in "tpm2cloud://$1" -pubout | cmp - "$work/$1.pub"
}
enrolments() {
    requests 'op=simple(re)?enroll status=200'
}
# says WHAT LINE COMMAND...: it succeeds, and tells its user LINE
says() {
    what=$1 line=$2
    shift 2
    check "$what" "$@"
    cp "$work/out" "$work/said"
    check "$what: that is said" grep -qF -- "$line" "$work/said"
}
nothing_is_left() {
    check_equal "$1: nothing is left of it" "" "$(ls -A "$work/enroll" 2>/dev/null)"
}

# ---- a secret in a header ----

serve secrets --auth header --header 'Secret-Value:correct horse 7' --not-after 99991231235959Z
check "an IDevID by a secret" by_secret idevid
check "openssl verifies it, out of the TPM" verified idevid CN=idevid-1
check "it is in TCG's index" tpm2_nvreadpublic 0x01C90200
nothing_is_left "the IDevID"
says "again" 'idevid: a certificate with that name is in force, so nothing was asked for' by_secret idevid
check_equal "it was asked for once" 1 "$(enrolments)"
check_fails "another name: the TPM keeps what it has" 'another certificate of idevid, and keeps it (its subject is "CN = idevid-1")' \
    enroll idevid secret --subject /CN=other --secret-from "file:$work/secret"
says "the LDevID by a secret of the environment, as JSON" '{"name": "ldevid", "exists": false, "place": "'"$work/certs/ldevid.pem"'", "chain": [' env EST_SECRET='correct horse 7' "$T2C" enroll ldevid --auth secret --url "$est" \
    --trust "$root" --subject /CN=ldevid-1 --secret-from env:EST_SECRET --json
check "openssl verifies it" verified ldevid CN=ldevid-1
check_equal "two were asked for" 2 "$(enrolments)"
check_fails "a wrong secret" "HTTP 401: not authenticated; check who asks, and the secret" \
    enroll ldevid secret --subject /CN=ldevid-1 --secret-from "file:$work/wrong" --force
check "the certificate before it stays" verified ldevid CN=ldevid-1
nothing_is_left "the wrong secret"
check_fails "a secret that is not there" "--secret-from: auth-source: cannot open $work/none" \
    enroll app secret --subject /CN=app --secret-from "file:$work/none"
ca_stop
check_fails "a server that is not there" "no way to the server" by_secret ldevid --force
check "the certificate before it stays" verified ldevid CN=ldevid-1
nothing_is_left "a server that is not there"

# ---- the others ----

serve passwords --auth basic --user 'device 1:battery staple 8'
check "another server: a password" by_password ldevid --force
check "openssl verifies what replaced the old one" verified ldevid CN=ldevid-1
check_fails "a wrong password" "HTTP 401" enroll app basic --subject /CN=app --user 'device 1' --password-from "file:$work/wrong"
root=$work/secrets/root.pem
check_fails "a CA that is not believed" "the server's certificate is not trusted" by_password app
check_fails "stores nothing" "" test -e "$work/certs/app.pem"
root=$work/passwords/root.pem
check "a name that asks for being quoted, and SANs" enroll app basic --subject '/CN=a#$b "c"\\d' --san DNS:app.example --eku serverAuth --profile server \
    --user 'device 1' --password-from "file:$work/password"
check_equal "the name is as it was asked for" 'subject=CN=a#$b \"c\"\\d' "$(openssl x509 -in "$work/certs/app.pem" -noout -subject -nameopt RFC2253)"
check_equal "so are they" "DNS:app.example TLS Web Server Authentication" \
    "$(openssl x509 -in "$work/certs/app.pem" -noout -ext subjectAltName,extendedKeyUsage | sed -n 's/^ *\(DNS\|TLS\)/\1/p' | sort | paste -sd' ')"
ca_stop
serve tls --auth mtls --client-ca "$work/passwords/root.pem"
check "by another key's certificate" enroll app mtls --subject /CN=app-1 --by ldevid
check "openssl verifies it" verified app CN=app-1
check_equal "the server saw whose" 1 "$(requests 'op=simpleenroll status=200 auth=(mtls|cert).*ldevid-1')"
print=$(openssl x509 -in "$root" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')
check "the server is known by a fingerprint" "$T2C" enroll app --auth mtls --subject /CN=app-1 --by ldevid --url "$est" \
    --trust-fingerprint "sha256:$print" --force
check_fails "by a key without a certificate" "--by: no certificate in tpm2cloud:srk" enroll app mtls --subject /CN=app-2 --by srk

# ---- killed ----

died() { # COMMAND...: by signal 9
    "$@" >/dev/null 2>&1
    [ $? -eq 137 ]
}
: >"$log"
before=$(sha256sum "$work/certs/app.pem")
touch "$work/kill-late"
check "killed when the answer is there" died enroll app mtls --subject /CN=app-2 --by ldevid
check_equal "nothing is stored yet" "$before" "$(sha256sum "$work/certs/app.pem")"
rm "$work/kill-late"
says "run again" "app: the certificate that an interrupted enrolment had brought is stored in $work/certs/app.pem" \
    enroll app mtls --subject /CN=app-2 --by ldevid
check "openssl verifies it" verified app CN=app-2
check_equal "nobody was asked twice" 1 "$(enrolments)"
nothing_is_left "killed late"
touch "$work/kill-early"
check "killed while its estd goes on" died enroll app mtls --subject /CN=app-3 --by ldevid
rm "$work/kill-early"
check "run again, it waits for what that brings" enroll app mtls --subject /CN=app-3 --by ldevid
check "openssl verifies it" verified app CN=app-3
check_equal "nobody was asked twice" 2 "$(enrolments)"
nothing_is_left "killed early"

# ---- killed, with its estd, at system calls that change a file or talk to the server or the TPM ----

# at N ARGUMENTS...: an enrolment of app as app-N, under points
at() {
    name=app-$1
    shift
    PATH=$BUILD/estd:$PATH "$BUILD/points" --root "$work" "$@" "$T2C" enroll app --auth mtls --by ldevid --subject "/CN=$name" --url "$est" \
        --trust "$root" >"$work/out" 2>"$work/points.err"
}
killed_at() { # N: tells what is wrong after a kill there, and a second run
    : >"$log"
    at "$1" --at "$1" --kill before
    tpm2_flushcontext -t # as a resource manager does
    asked=$(enrolments)
    allowed=$((asked + 1))
    [ ! -e "$work/enroll/app/answer.pem" ] || allowed=$asked
    [ "$(openssl x509 -in "$work/certs/app.pem" -noout -subject -nameopt RFC2253)" != "subject=CN=app-$1" ] || allowed=$asked
    at "$1" || echo "$1: $(tail -n 2 "$work/points.err" | head -n 1)"
    verified app "CN=app-$1" >"$work/out" 2>&1 || echo "$1: $(cat "$work/out")"
    [ "$(enrolments)" -le "$allowed" ] || echo "$1: $(enrolments) certificates, where $allowed are enough"
    [ -z "$(ls -A "$work/enroll")" ] || echo "$1: $(ls "$work/enroll") is left"
}
ca_stop
serve tls --auth mtls --client-ca "$work/passwords/root.pem"
at whole --list "$work/list"
if [ $? -eq 77 ]; then
    skip "killed at any point" "programs may not be traced here"
else
    points=$(wc -l <"$work/list")
    check "it has points: $points" [ "$points" -ge 50 ]
    every=${FIRST_CRASH_EVERY:-${CRASH_EVERY:-20}}
    check_equal "killed at one of $every of them: the next run completes it, and an answer that was there is not asked for twice" "" \
        "$(for point in $(seq 1 "$every" $((points + 5))); do killed_at "$point"; done)"
fi
ca_stop

# ---- a CA in files ----

"$T2C" ca init "$work/factory" >/dev/null
root=$work/factory/root.pem
check_fails "an identity for life without a serial number" "serial" "$T2C" enroll iak --auth ca --ca "$work/factory" --subject /CN=iak-1
check "with one" "$T2C" enroll iak --auth ca --ca "$work/factory" --subject /CN=iak-1/serialNumber=4711
check "openssl verifies it" verified iak serialNumber=4711,CN=iak-1
check_equal "for ever" "notAfter=Dec 31 23:59:59 9999 GMT" "$(openssl x509 -in "$work/iak.chain" -noout -enddate)"
check "an owner's" "$T2C" enroll app --auth ca --ca "$work/factory" --profile ldevid --subject /CN=app-4
check "openssl verifies it" verified app CN=app-4
nothing_is_left "a CA in files"

# ---- a certificate of estd's, whose state is another user's ----

serve kept --auth basic --user 'device 1:battery staple 8'
if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$work" && chmod 755 "$work/certs.d" && chmod 644 "$work/password" "$root"
    estd_conf "$root" "user = device 1" "password_file = $work/password"
    cert_conf kept
    chmod 644 "$work/kept.key" "$work/est.conf" "$work/certs.d/kept.conf"
    mkdir -p "$work/state"
    chown 65534 "$work/state" "$work/installed"
    says "root has it enrolled" 'kept: subject "CN = kept"' env PATH="$BUILD/estd:$PATH" "$T2C" enroll kept --config "$work/est.conf"
    check_equal "all files are that user's" 65534 "$(find "$work/state" "$work/installed" -exec stat -c %u {} + | sort -u)"
else
    skip "root has it enrolled" "needs root to become another user"
fi
ca_stop

# ---- mistakes ----

check_fails "basic without a user" "--auth basic wants --user" "$T2C" enroll app --auth basic --subject /CN=a --url https://a --trust system
check_fails "no server" "--auth secret wants --url" "$T2C" enroll app --auth secret --subject /CN=a
check_fails "nobody to be believed" "wants --trust or --trust-fingerprint" "$T2C" enroll app --auth mtls --by ldevid --subject /CN=a --url https://a
check_fails "what does not go together" "--user does not go with --auth mtls" "$T2C" enroll app --auth mtls --user a --subject /CN=a --url https://a --trust system
check_fails "options for a certificate of estd" "--auth is missing" "$T2C" enroll app --subject /CN=a
check_fails "a key that is not there" "there is no key nokey" "$T2C" enroll nokey --auth ca --ca "$work/factory" --subject /CN=a
check_fails "a key that no CA certifies" "the key srk is not for certificates of a CA" "$T2C" enroll srk --auth ca --ca "$work/factory" --subject /CN=a

# ---- secrets ----

check "an estd was looked at in each of the enrolments: $(find "$work/seen" -name '*.conf' | wc -l) files" \
    test "$(find "$work/seen" -name '*.conf' | wc -l)" -ge 20
check_fails "no secret is among arguments" "" grep -qaE 'horse|staple|wrong 9' "$work/seen/arguments"
check_equal "nor in any file" "" "$(grep -rlE 'horse|staple|wrong 9' "$work/seen" "$work/certs" "$work/keys")"
tpm_clean "in the end"
finish
