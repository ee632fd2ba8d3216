#!/bin/sh
# A device with a blank TPM, and three EST servers: one command makes of them a device whose certificate renews itself. Again, it does
# nothing; interrupted by a server that fails, it goes on; what it cannot decide, it asks.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/provision.sh"
need swtpm swtpm_setup swtpm_localca tpm2_readpublic openssl jq python3 make script flock
machine
tpm_made || skip_all "swtpm_setup makes no certificates"
tpm_start "$work/made"
estd_files "window = 8-10"
servers 40 || skip_all "estca does not start"
stand_ins
provision_conf
printf '[edge_ca]\nurl = %s\n' "$(url "$operator")" >>"$work/provision.conf"
report=$root/var/lib/tpm2cloud/provision/report.json
report() { # FILTER
    jq -r "$1" "$report"
}
edge_ca=$root/var/lib/aziot/certd/certs/aziotedgedca-$(printf aziot-edged-ca | sha256sum | cut -d ' ' -f 1).cer
listing() {
    (cd "$work" && find certs certs.d keys enroll estd root -exec ls -ild --time-style=full-iso {} + 2>/dev/null | sort)
}
states() {
    jq -r '.steps | map(select(.state != "left out") | .state) | unique | join(" ")'
}

# ---- the plan ----

before=$(listing)
check "there is a plan" counted provision --dry-run
check_equal "it writes nothing to the TPM" 0 "$(writes)"
check_equal "nor elsewhere" "$before" "$(listing)"
check_equal "and asks nobody" "" "$(cat "$work/factory.log" "$work/owner.log" "$work/operator.log" 2>/dev/null)"
cp "$work/out" "$work/plan"
check_equal "a root may be named from here" "$(cat "$work/plan")" \
    "$(cd "$work" && "$T2C" provision --config provision.conf --root root --dry-run)"
check_fails "but not one that is not there" "cannot find the directory $work/none of --root: No such file" \
    "$T2C" provision --config "$work/provision.conf" --root "$work/none"
name=$(printf '%s\n%s\n%s\n' "Raspberry Pi 4 Model B Rev 1.4" 10000000abcdef01 dc:a6:32:01:02:03 | sha256sum | cut -d ' ' -f 1)
check "the TPM is its maker's" grep -q '^done  *ek  *verified, and of this TPM: 0x01c00002' "$work/plan"
check "the IDevID is named by the machine" grep -qF "/serialNumber=10000000abcdef01/CN=$name is asked for" "$work/plan"
check_equal "all the rest is to be done" "to do" "$(provision --dry-run --json | jq -r '.steps[1:] | map(select(.state != "left out") | .state) | unique | join(" ")')"
check "the services, too" grep -q '^to do  *services  *estd.service is enabled and started; .*iotedge config apply starts IoT Edge' "$work/plan"

# ---- a server that does not answer ----

"$srcdir/test/argv_sampler" "$work/argv" "$FACTORY_SECRET" "$OWNER_PASSWORD" marker-of-the-test &
sampler=$!
pids="$pids $sampler"
wait_for 10 test -s "$work/argv"
sed "s|$(url "$owner")|$(url 1)|" "$work/provision.conf" >"$work/early.conf"
mkdir "$work/keys"
check_fails "another run is at work" "another tpm2cloud provision is at work in $work/keys: when it has ended, try again" \
    flock "$work/keys" "$T2C" provision --config "$work/provision.conf" --root "$root"
check_fails "the owner's server is down" "ldevid-cert: " "$T2C" provision --config "$work/early.conf" --root "$root"
cp "$work/err" "$work/first.log"
check_equal "the report says so" "failed ldevid-cert" "$(report '"\(.result) \(.failed_step)"')"
check_equal "and why" "$(sed -n 's/^tpm2cloud: ldevid-cert: //p' "$work/err")" "$(report .message)"
check_equal "what came before stands in it" "$name" "$(report .idevid.certificate.subject | sed 's/.*CN = //')"
check_equal "IoT Edge is not started" "" "$(cat "$work/iotedge.log" 2>/dev/null)"

# ---- the run ----

rm "$work/certs.d/ldevid.conf" # which names that server
check "with all servers" counted provision
cp "$work/out" "$work/summary"
cp "$work/err" "$work/second.log"
check_equal "the factory was asked once" 1 "$(enrolments factory)"
check_equal "the owner" 1 "$(enrolments owner)"
check_equal "the operator for two certificates" 2 "$(enrolments operator)"
check "by the LDevID" grep -q 'op=simpleenroll .*peer="CN=pump-7" subject="CN=pump-7"' "$work/operator.log"
check_equal "IoT Edge was started when it had a certificate, and estd ran" enrolled "$(cat "$work/at-start")"
check "the certificate is where IoT Edge reads it" openssl verify -CAfile "$work/operator/root.pem" -untrusted "$certd" "$certd"
check "so is that of the edge CA" openssl verify -CAfile "$work/operator/root.pem" -untrusted "$edge_ca" "$edge_ca"
check "which is a CA" sh -c "openssl x509 -in '$edge_ca' -noout -ext basicConstraints | grep -q CA:TRUE"
check "by its configuration" grep -qF "file:///var/lib/aziot/certd/certs/${certd##*/}" "$root/etc/aziot/config.toml"
check "the summary ends with the report" grep -qx "the report is $report" "$work/summary"
check_equal "a line for what was begun, and for what was done" "ldevid-key ... done" \
    "$(sed -n 's/^\(ldevid-key \.\.\.\)$/\1/p' "$work/first.log") $(sed -n 's/^ldevid-key: \(done\) in [0-9.]* s: .*/\1/p' "$work/first.log")"

# ---- the report, as others see the same ----

key_name() { # HANDLE
    tpm2_readpublic -c "$1" -n "$work/name" >/dev/null && od -An -v -tx1 "$work/name" | tr -d ' \n'
}
serial() { # CERTIFICATE
    openssl x509 -in "$1" -noout -serial | cut -d = -f 2 | tr A-F a-f
}
tpm2_nvread 0x01c90200 -C 0x01c90200 -o "$work/idevid.der" >/dev/null 2>&1
openssl x509 -inform DER -in "$work/idevid.der" -out "$work/idevid.pem"
tpm2_nvread 0x01c00002 -C 0x01c00002 -o "$work/ek.der" >/dev/null 2>&1
check_equal "it is done" "done done null" "$(report '"\(.result) \(.steps | map(select(.state != "left out") | .state) | unique | join(" ")) \(.failed_step)"')"
check_equal "TPM Names" "$(key_name 0x81020000) $(key_name 0x81000002)" "$(report '"\(.idevid.key.tpm_name) \(.ldevid.key.tpm_name)"')"
check_equal "serial numbers" "$(serial "$work/idevid.pem") $(serial "$work/certs/ldevid.pem")" \
    "$(report '"\(.idevid.certificate.serial) \(.ldevid.certificate.serial)"')"
check_equal "the operational one is that of the first run, or of a renewal" "CN = pump-7" "$(report .operational.certificate.subject)"
check_equal "until when" "null $(date -u -d "$(openssl x509 -in "$work/certs/ldevid.pem" -noout -enddate | cut -d = -f 2)" +%FT%TZ)" \
    "$(report '"\(.idevid.certificate.not_after) \(.ldevid.certificate.not_after)"')"
check_equal "the NV index, and its attributes" "0x01c90200 $(tpm2_nvreadpublic 0x01c90200 | sed -n 's/^ *value: //p' | tail -n 1)" \
    "$(report '"\(.idevid.certificate.nv) \(.idevid.certificate.nv_attributes)"' | tr A-F a-f)"
check_equal "the EK's certificate" "$(openssl x509 -inform DER -in "$work/ek.der" -outform DER | base64 -w 0)" "$(report '.ek[0].certificate')"
check_equal "and its key" "$(openssl x509 -inform DER -in "$work/ek.der" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d ' ' -f 1)" \
    "$(report '.ek[0].key_sha256')"
check_equal "the TPM, and this program" "IBM $("$T2C" --version | sed 's/.* //')" "$(report '"\(.tpm.manufacturer) \(.version)"')"
check_equal "its members are those of the manual" \
    "$(sed -n '/^\.Sh THE REPORT/,/^\.Sh ENV/s/^\.It Li //p' "$srcdir/packaging/man/provision.conf.5" | tr -d , | xargs -n 1 | sort | xargs)" \
    "$(report 'keys | join(" ")')"
check_equal "the registration" "0ne0012AB34 pump-7" "$(report '"\(.dps.scope_id) \(.dps.registration_id)"')"

# ---- again ----

applied=$(wc -l <"$work/iotedge.log")
check "the same again" counted provision --json
check_equal "is the report" "$(jq -S . "$report")" "$(jq -S . "$work/out")"
check_equal "writes nothing to the TPM" 0 "$(writes)"
check_equal "nobody is asked but by estd" "1 1 2" "$(enrolments factory) $(enrolments owner) $(grep -c op=simpleenroll "$work/operator.log")"
check_equal "IoT Edge is left alone" "$applied" "$(wc -l <"$work/iotedge.log")"

echo 10 >"$work/delay" # a TPM that takes its time
counted env T2C_TCTI_DELAY="$work/delay" script -qec "'$T2C' provision --config '$work/provision.conf' --root '$root'" /dev/null >"$work/terminal"
check "on a terminal, something turns, and the time passes" grep -qE '[-|/\\] plan  [0-9]+\.[1-9] s' "$work/terminal"

# ---- it renews itself ----

check "the operational certificate is renewed" wait_for 30 grep -q 'op=simplereenroll status=200 .*peer="CN=pump-7"' "$work/operator.log"
renewed() {
    [ "$(serial "$certd")" != "$(report .operational.certificate.serial)" ]
}
check "and lies where IoT Edge reads it" wait_for 10 renewed
services_stop

# ---- secrets ----

python3 -c 'import sys, time; time.sleep(float(sys.argv[2]))' marker-of-the-test 0.2
kill $sampler
wait $sampler 2>/dev/null
check "who looks on would have seen a secret" grep -q marker-of-the-test "$work/argv"
check_equal "on no command line" "" "$(grep -vE '^begun$|marker-of-the-test' "$work/argv")"
check_equal "in no file but where they are kept" "" "$(grep -rlE "$FACTORY_SECRET|$OWNER_PASSWORD" "$work" --exclude=factory.secret \
    --exclude=owner.password --exclude=owner.users --exclude=argv 2>/dev/null)"

# ---- what it does not decide ----

sed -i 's|^subject = .*|subject = /CN=by-hand|' "$work/certs.d/ldevid.conf"
check_fails "a file that somebody changed" "certs.d/ldevid.conf is there and says something else" counted provision
check_fails "is shown with what differs" '"subject = /CN=by-hand" in place of "subject = /CN=pump-7"' provision
check_equal "nothing is written" "0 subject = /CN=by-hand" "$(writes) $(grep ^subject "$work/certs.d/ldevid.conf")"
check_equal "it is reported" "failed ldevid-cert" "$(report '"\(.result) \(.failed_step)"')"
echo 'auto_reprovisioning_mode = "Dynamic"' >>"$root/etc/aziot/config.toml"
check "so is IoT Edge's" sh -c "'$T2C' provision --config '$work/provision.conf' --root '$root' --dry-run | grep '^cannot  *aziot .*-auto_repro'"
check "unless it is to be replaced" sh -c "'$T2C' provision --config '$work/provision.conf' --root '$root' --force"
check_equal "then it is, and kept" "subject = /CN=pump-7 subject = /CN=by-hand" \
    "$(grep -h ^subject "$work/certs.d/ldevid.conf" "$work/certs.d/ldevid.conf.bak" | xargs)"
check_equal "IoT Edge learns of it" $((applied + 1)) "$(wc -l <"$work/iotedge.log")"
rm "$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml" # as aziot rollback does
check "what was taken from IoT Edge's configuration" provision
check_equal "comes back, and IoT Edge learns of that, too" $((applied + 2)) "$(wc -l <"$work/iotedge.log")"
services_stop
sed "s|^ek_roots = .*|ek_roots = $work/operator/root.pem|" "$work/provision.conf" >"$work/roots.conf"
check_fails "a TPM whose maker is not known" 'ek: the certificate at 0x01c00002 is refused: its issuer "CN = swtpm-localca" is not known here' \
    "$T2C" provision --config "$work/roots.conf" --root "$root"
check_equal "which is reported" 'failed ek its issuer "CN = swtpm-localca" is not known here' \
    "$(report '"\(.result) \(.failed_step) \(.ek[0].refused | sub(";.*"; ""))"')"
cp "$work/keys/device-id.pem" "$work/image.pem"
tpm_stop
mkdir "$work/keys"
cp "$work/image.pem" "$work/keys/device-id.pem"
tpm_start
check "a key that came with another device's image" sh -c \
    "'$T2C' provision --config '$work/provision.conf' --root '$root' --dry-run | grep \"^cannot  *operational-key  *the key file of device-id is not this TPM's: \""
rm "$work/keys/device-id.pem"
sed 's/^ek_roots.*/ek = require/' "$work/provision.conf" >"$work/require.conf"
check "a TPM without a certificate, where one is required" sh -c \
    "'$T2C' provision --config '$work/require.conf' --root '$root' --dry-run | grep '^cannot  *ek  *this TPM holds no certificate of an endorsement key'"
check "is else no reason" sh -c \
    "'$T2C' provision --config '$work/provision.conf' --root '$root' --dry-run | grep \"^left out  *ek  *this TPM's maker left no certificate in it\""
rm -r "$root/run/systemd"
check "without systemd somebody else starts estd" sh -c \
    "'$T2C' provision --config '$work/provision.conf' --root '$root' --dry-run | grep '^left out  *services  *no systemd runs here: have this system start estd'"

# ---- a configuration that is wrong ----

wrong() { # WHAT MESSAGE SED
    sed "$3" "$work/provision.conf" >"$work/wrong.conf"
    check_fails "$1" "$2" "$T2C" provision --config "$work/wrong.conf" --root "$root" --dry-run
}
wrong "a mistyped key" 'unknown key "trsut" in section [provision]; did you mean "trust"?' 's/^trust/trsut/'
wrong "a mistyped section" 'unknown section [operationl]; did you mean "operational"?' 's/^\[operational\]/[operationl]/'
wrong "no trust" "[idevid] trust: is missing; name a PEM file of CA certificates" '/^trust/d'
wrong "a secret where its place should be" "[idevid] secret: this is no place of a secret; write file:/PATH, env:NAME or cred:NAME" \
    's/^secret = .*/secret = hunter2/'
check_equal "which is not repeated" "" "$(grep hunter2 "$work/err")"
wrong "half of an identity" "[ldevid] password: is missing beside user" '/^password/d'
wrong "the other half" "[ldevid] user: is missing beside password" '/^user/d'
wrong "a CA in files where there is none" "[ldevid] auth = ca is not known; known are: mtls, basic, secret" 's/^user/auth = ca\nuser/'
wrong "an identity's name" "[operational] name: that is an identity of the TPM" 's/^\[operational\]/&\nname = ldevid/'
wrong "one name twice" "[edge_ca] name: [operational] has the same" 's/^\[edge_ca\]/&\nname = device-id/'
wrong "IoT Edge without a scope" "[dps] scope_id: is missing" '/^scope_id/d'
wrong "and without a certificate" "[aziot] mode = dps points IoT Edge at the operational certificate" '/^\[operational\]/,/^url/d; /^\[edge_ca\]/,/^url/d'
wrong "an algorithm that is none" "[idevid] alg: unknown algorithm; use ec-p256" 's/^header/alg = ec-p257\nheader/'
sed "s/^device_id.*/device_id = $(printf '%065d' 7)/" "$work/provision.conf" >"$work/wrong.conf"
check "a name that is too long for a certificate" sh -c \
    "'$T2C' provision --config '$work/wrong.conf' --root '$root' --dry-run | grep '^cannot  *ldevid-cert  *write \[ldevid\] subject into .*: subject: cannot take CN='"
check_fails "no configuration" "$work/none.conf" "$T2C" provision --config "$work/none.conf" --root "$root"
check_equal "is reported, too" "failed unknown" "$(report '"\(.result) \(.steps[1].state)"')"
check_fails "an unknown profile" "iotedge-tpm2cloud" provision --profile iotedge
finish
