#!/bin/sh
# Those who come from the scripts of iotedge-tpm2cloud: what they exported is enough, their layout is made, and a device that they
# provisioned is taken as it is.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/provision.sh"
need swtpm openssl jq python3 make tpm2_createek tpm2_policysecret tpm2_nvdefine
machine
stand_ins
echo "device:$OWNER_PASSWORD" >"$work/users"
estca_start maker --auth basic --user-file "$work/users" || skip_all "estca does not start"
maker=$port
estca_start operator --auth mtls --client-ca "$work/maker/root.pem" || skip_all "estca does not start"
operator=$port
cat "$work/maker/root.pem" "$work/operator/root.pem" >"$work/trust.pem"
printf '[provision]\ntrust = %s\nek = skip\nservices = no\ndevice_id = 14398\n' "$work/trust.pem" >"$work/dps.conf"
cp "$work/dps.conf" "$work/provision.conf"
mkdir -p "$root/etc/ssl" "$root/etc/tpm2cloud"
cp "$work/trust.pem" "$root/etc/ssl/trust.pem"
ln -s "$work/certs.d" "$root/etc/tpm2cloud/certs.d" # where IoT Edge's part looks for what estd renews
old_environment() {
    env IDEVID_CA_EST_FQDN_PORT=localhost:"$maker" IDEVID_CA_EST_USER=device IDEVID_CA_EST_PASSWORD="$OWNER_PASSWORD" \
        LDEVID_CA_EST_FQDN_PORT=localhost:"$maker" LDEVID_CA_EST_USER=device LDEVID_CA_EST_PASSWORD="$OWNER_PASSWORD" \
        OPERATIONAL_CA_FQDN_PORT=localhost:"$operator" DPS_SCOPE_ID=0ne0012AB34 "$@"
}
provision() {
    old_environment "$T2C" provision --config "$work/provision.conf" --root "$root" --profile iotedge-tpm2cloud "$@"
}
state() { # STEP
    jq -r ".steps[] | select(.step == \"$1\") | .state" "$work/out"
}
attributes() { # HANDLE
    tpm2_readpublic -c "$1" | sed -n '/^attributes:/,/raw:/s/^ *raw: //p'
}

form() { # MODE LINE...: that configuration
    mode=$1
    shift
    cp "$work/dps.conf" "$work/provision.conf"
    printf '[aziot]\nmode = %s\nurl = https://localhost:%s/.well-known/est\ntrust = /etc/ssl/trust.pem\n' "$mode" "$operator" >>"$work/provision.conf"
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$work/provision.conf"
}
alone() { # no environment: nothing is asked for
    sed '/^services/d' "$work/provision.conf" >"$work/alone.conf"
    printf '[dps]\nscope_id = 0ne0012AB34\n' >>"$work/alone.conf"
    env LDEVID_CA_EST_PASSWORD="$OWNER_PASSWORD" "$T2C" provision --config "$work/alone.conf" --root "$root" --force "$@"
}

# ---- what cannot be is told before anybody is asked ----

tpm_start
estd_files
form est-mtls
check_fails "est-mtls without an LDevID" "aziot: $work/alone.conf: [aziot] mode = est-mtls asks by the LDevID's certificate, and there is none" alone
echo 'hostname = "by-hand"' >"$root/etc/aziot/config.toml"
check_fails "est-mtls where IoT Edge has a configuration" 'says something else: "-hostname = "by-hand""' provision
check_equal "nobody was asked" "" "$(cat "$work/maker.log" "$work/operator.log" 2>/dev/null)"
rm "$root/etc/aziot/config.toml"
cp "$work/dps.conf" "$work/provision.conf"

# ---- a new device, in their layout ----

check_fails "a user's name is no place for a line of estd's configuration" "ldevid-cert: there is a control character in the user" \
    old_environment env LDEVID_CA_EST_USER="device
command = /bin/true" "$T2C" provision --config "$work/provision.conf" --root "$root" --profile iotedge-tpm2cloud
check "what the scripts wanted to know is enough" provision
check_equal "the IDevID's key is an RSA key at 0x81020000, as theirs" 0x60472 "$(attributes 0x81020000)"
qualified() { # HANDLE
    tpm2_readpublic -c "$1" | sed -n 's/^qualified name: //p'
}
# TPM 2.0 part 1, "Qualified Name": the hash of the parent's qualified name and the own Name
check_equal "below the EK" "000b$(python3 -c 'import hashlib, sys; print(hashlib.sha256(bytes.fromhex("".join(sys.argv[1:]))).hexdigest())' \
    "$(qualified 0x81010001)" "$(tpm2_readpublic -c 0x81020000 | sed -n 's/^name: //p')")" "$(qualified 0x81020000)"
tpm2_nvread 0x01c90000 -C 0x01c90000 -o "$work/idevid.der" >/dev/null 2>&1
check "its certificate is at 0x01C90000" openssl x509 -inform DER -in "$work/idevid.der" -noout
check "and the LDevID's key at 0x81000002 an RSA key" sh -c "tpm2_readpublic -c 0x81000002 | grep -qw rsa"
check_equal "the operator saw the LDevID of that name" 'peer="CN=14398" subject="CN=14398"' \
    "$(grep -o 'op=simpleenroll .*' "$work/operator.log" | grep -o 'peer=.* serial' | sed 's/ serial//')"
check "IoT Edge has the scope" grep -q 'id_scope = "0ne0012AB34"' "$root/etc/aziot/config.toml"
check "again" counted provision --json
check_equal "there is nothing to do" 0 "$(writes)"
check_equal "the password is in no file" "" "$(grep -rl "$OWNER_PASSWORD" "$work" --exclude=users)"

# ---- the two forms in which IoT Edge asks by itself ----

form est-basic "user = device" "password = env:LDEVID_CA_EST_PASSWORD"
check_fails "what is there stays" "--force replaces it, with a copy kept" provision
check "unless it is to be replaced: est-basic" provision --force
check "it has the id and the password" sh -c \
    "grep -q 'registration_id = \"14398\"' '$root/etc/aziot/config.toml' && grep -q '$OWNER_PASSWORD' '$root/etc/aziot/config.toml'"
check_equal "who else has the password" "" "$(grep -rl "$OWNER_PASSWORD" "$work" --exclude=users --exclude='config.toml*')"
check_fails "estd keeps the device's certificate, and not for IoT Edge" "" grep cert_id "$work/certs.d/device-id.conf"
check "without an LDevID" alone
check_equal "IoT Edge is started, and estd is not" "config apply yes" "$(cat "$work/iotedge.log") $([ -e "$work/enabled.estd.service" ] || echo yes)"
form est-mtls
check "est-mtls" provision --force
check "it asks by the LDevID" grep -q 'identity_pk = "pkcs11:token=tpm2cloud;object=ldevid"' "$root/etc/aziot/config.toml"
check "again" counted provision --json
check_equal "there is nothing to do" "0 done" "$(writes) $(state aziot)"
cp "$work/dps.conf" "$work/provision.conf"

# ---- one of theirs ----

tpm_stop
rm -rf "$work/certs.d" "$work/estd" "$work/enroll" "$root/etc/aziot/config.toml" "$root/var/lib/tpm2cloud"
mkdir -p "$work/certs" "$work/old"
tpm_start
estd_files
cd "$work/old" || exit 1
{
    tpm2_createek -c 0x81010001 -G rsa -u ek.pub
    tpm2_startauthsession -S session.ctx --policy-session
    tpm2_policysecret -S session.ctx -c 0x4000000B
    tpm2_create -C 0x81010001 -G rsa2048 -g sha256 -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign|decrypt" \
        -u idevid.pub -r idevid.priv -P session:session.ctx -c idevid.ctx
    tpm2_flushcontext --transient-object
    tpm2_flushcontext -l
    tpm2_startauthsession -S session.ctx --policy-session
    tpm2_policysecret -S session.ctx -c 0x4000000B
    tpm2_load -C 0x81010001 -u idevid.pub -r idevid.priv -c idevid.ctx -P session:session.ctx
    tpm2_evictcontrol -c idevid.ctx 0x81020000
    tpm2_flushcontext -t
    tpm2_flushcontext -l
    tpm2_createprimary -C o -g sha256 -G rsa -c srk.ctx
    tpm2_evictcontrol -C o -c srk.ctx 0x81000001
    tpm2_flushcontext -t
    tpm2_create -C 0x81000001 -g sha256 -G rsa -r ldevid.key -u ldevid.pub
    tpm2_load -C 0x81000001 -u ldevid.pub -r ldevid.key -n ldevid.name -c ldevid.ctx
    tpm2_evictcontrol -C o -c ldevid.ctx 0x81000002
    tpm2_flushcontext -t
    "$T2C" csr idevid --subject "/CN=14398" --out idevid.csr
    "$ESTCA" sign "$work/maker" --csr idevid.csr --out idevid.crt
    openssl x509 -in idevid.crt -outform der -out idevid.der
    tpm2_nvdefine 0x01C90000 -C p -s "$(stat -c %s idevid.der)" -a "ppread|ppwrite|platformcreate|write_stclear"
    tpm2_nvwrite 0x01C90000 -C p -i idevid.der
} >"$work/made.log" 2>&1
names=$(tpm2_readpublic -c 0x81020000 | grep ^name; tpm2_readpublic -c 0x81000002 | grep ^name)
asked=$(enrolments maker)
provision --dry-run --json >"$work/out"
check_equal "their IDevID stays, with its certificate" "done done" "$(state idevid-key | sed 's/to do/done/') $(state idevid-cert)"
check "the rest is done" provision --json
check_equal "with their keys" "$names" "$(tpm2_readpublic -c 0x81020000 | grep ^name; tpm2_readpublic -c 0x81000002 | grep ^name)"
check_equal "only the LDevID had no certificate" $((asked + 1)) "$(enrolments maker)"
check_equal "the report has the IDevID's" "0x01c90000 done" "$(jq -r '"\(.idevid.certificate.nv) \(.result)"' "$work/out")"
finish
