# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the stories about provision; sourced after harness.sh. A device is a directory, $work/root; its maker, its owner and
# who operates it have an EST server each.

unset TPM2CLOUD_ESTD_CONF JOURNAL_STREAM NOTIFY_SOCKET OPENSSL_CONF
unset IDEVID_CA_EST_FQDN_PORT IDEVID_CA_EST_USER IDEVID_CA_EST_PASSWORD LDEVID_CA_EST_FQDN_PORT LDEVID_CA_EST_USER
unset LDEVID_CA_EST_PASSWORD OPERATIONAL_CA_FQDN_PORT DPS_SCOPE_ID
root=$work/root
certd=$root/var/lib/aziot/certd/certs/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer
# Of this run alone: others may run beside it, and who samples command lines sees theirs, too.
FACTORY_SECRET=factory-$(od -An -N6 -tx1 /dev/urandom | tr -d ' ') OWNER_PASSWORD=owner-$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')

# machine: what it says of itself, and IoT Edge without a configuration.
machine() {
    mkdir -p "$root/proc/device-tree" "$root/sys/class/net/eth0/device" "$root/sys/class/net/docker0" "$root/sys/class/net/lo" \
        "$root/run/systemd/system" "$root/etc/aziot" "$root/var/lib/aziot/certd" "$root/var/lib/aziot/keyd" "$work/bin"
    printf 'Raspberry Pi 4 Model B Rev 1.4\0' >"$root/proc/device-tree/model"
    printf '10000000abcdef01\0' >"$root/proc/device-tree/serial-number"
    for interface in docker0/02:42:0d:0c:0b:0a eth0/dc:a6:32:01:02:03 lo/00:00:00:00:00:00; do
        echo "${interface#*/}" >"$root/sys/class/net/${interface%%/*}/address"
        echo 1 >"$root/sys/class/net/${interface%%/*}/type"
    done
    echo 772 >"$root/sys/class/net/lo/type"
    chmod 755 "$work"
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$BUILD" install-dist_aziotconfDATA install-nodist_aziotconfDATA \
        DESTDIR="$root" >"$work/installed" 2>&1 || skip_all "make install fails: $(tail -n 1 "$work/installed")"
}

# servers: the maker's wants a header, the owner's a password, the operator's a certificate of the owner's.
servers() {
    estca_start factory --auth header --header "Secret-Value:$FACTORY_SECRET" --not-after 99991231235959Z || return 1
    factory=$port
    echo "device:$OWNER_PASSWORD" >"$work/owner.users"
    estca_start owner --auth basic --user-file "$work/owner.users" --lifetime 31536000 || return 1
    owner=$port
    "$ESTCA" init "$work/operator" --name operator --sub-ca >/dev/null
    estca_start operator --auth mtls --client-ca "$work/owner/root.pem" --lifetime "${1:-86400}" --sub-ca || return 1
    operator=$port
    echo "$FACTORY_SECRET" >"$work/factory.secret"
    echo "$OWNER_PASSWORD" >"$work/owner.password"
    cat "$work/factory/root.pem" "$work/owner/root.pem" "$work/operator/root.pem" >"$work/trust.pem"
}

url() { # PORT
    echo "https://localhost:$1/.well-known/est"
}

# estd_files [LINE...]: its configuration; LINEs are defaults
estd_files() {
    cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/estd
certs_dir = $work/certs
aziot_certd_dir = $root/var/lib/aziot/certd
aziot_config_dir = $root/etc/aziot
socket = $work/estd.sock
[defaults]
$*
END
    printf 'keys_dir = %s\ncerts_dir = %s\nsystemctl = %s\n' "$work/keys" "$work/certs" "$work/bin/systemctl" >"$work/tpm2cloud.conf"
    mkdir -p "$work/certs"
    export TPM2CLOUD_ESTD_CONF="$work/estd.conf" TPM2CLOUD_CONF="$work/tpm2cloud.conf"
}

# provision_conf [SECTION LINE...]: the whole chain
provision_conf() {
    cat >"$work/provision.conf" <<END
[provision]
ek_roots = $work/roots
trust = $work/trust.pem
device_id = pump-7
[idevid]
url = $(url "$factory")
header = Secret-Value
secret = file:$work/factory.secret
[ldevid]
url = $(url "$owner")
user = device
password = file:$work/owner.password
[operational]
url = $(url "$operator")
[aziot]
mode = dps
[dps]
scope_id = 0ne0012AB34
END
}

# stand_ins: systemctl and iotedge, which write down how they were called. estd is a service, and so is who does root's part;
# identityd starts when the configuration is applied, and what it finds then is noted.
stand_ins() {
    cat >"$work/bin/systemctl" <<END
#!/bin/sh
exec 2>/dev/null
unset T2C_TCTI_LOG
export TPM2CLOUD_TCTI="swtpm:path=$work/tpm"
serve() { # UNIT COMMAND...
    : >"$work/enabled.\$1"
    unit=\$1
    shift
    setsid "\$@" </dev/null >/dev/null 2>>"$work/\$unit.log" &
    echo \$! >"$work/\$unit.pid"
}
echo "\$*" >>"$work/systemctl.log"
case "\$*" in
*"is-enabled --quiet "*) [ -e "$work/enabled.\$3" ] ;;
*"is-active --quiet aziot-identityd.service") [ -e "$work/active" ] ;;
*"is-active --quiet "*) kill -0 "\$(cat "$work/\$3.pid")" ;;
"enable --now estd.service")
    serve estd.service "$ESTD" -c "$work/estd.conf"
    tries=200
    until [ -S "$work/estd.sock" ]; do
        tries=\$((tries - 1))
        [ \$tries -gt 0 ] || exit 1
        sleep 0.05
    done
    ;;
"enable --now tpm2cloud-deploy.path")
    serve tpm2cloud-deploy.path sh -c "while sleep 0.2; do ls $work/estd/deploy/asks | grep -q . && $BUILD/tpm2cloud-deploy -c $work/estd.conf; done"
    ;;
esac
END
    cat >"$work/bin/iotedge" <<END
#!/bin/sh
echo "\$*" >>"$work/iotedge.log"
[ -s "$certd" ] && [ -e "$work/enabled.estd.service" ] && echo enrolled >"$work/at-start"
mkdir -p "$root/etc/aziot/identityd/config.d"
: >"$root/etc/aziot/identityd/config.d/00-super.toml"
: >"$work/active"
END
    chmod 755 "$work/bin/systemctl" "$work/bin/iotedge"
    PATH=$work/bin:$BUILD:$BUILD/estd:$PATH
}
# services_stop: what stand_ins started is gone.
services_stop() {
    for unit in tpm2cloud-deploy.path estd.service; do
        [ -s "$work/$unit.pid" ] || continue
        is_ours "$(cat "$work/$unit.pid")" && kill "$(cat "$work/$unit.pid")"
        wait_for 15 sh -c "! grep '^State:.[^Z]' /proc/$(cat "$work/$unit.pid")/status"
        rm "$work/$unit.pid"
    done
}

# counted COMMAND...: runs it, and $work/tpm.log has a line for each TPM command that it sends.
counted() {
    : >"$work/tpm.log"
    TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_LOG="$work/tpm.log" "$@"
}
# writes: how many of them make or change something in the TPM that stays, or a key: CreatePrimary, Create, CreateLoaded, Import,
# EvictControl, NV_DefineSpace, NV_UndefineSpace, NV_Write, Clear
writes() {
    grep -cE '^00000(131|153|191|156|120|12a|122|137|126)' "$work/tpm.log"
}
# enrolments NAME: how many certificates that server issued
enrolments() {
    grep -cE 'op=simple(re)?enroll status=200' "$work/$1.log"
}

provision() {
    "$T2C" provision --config "$work/provision.conf" --root "$root" "$@"
}
