#!/bin/sh
# docs/mqtt.md, followed: each of its commands is run as it stands there, with mosquitto in place of the hub. On one of its ports
# mosquitto itself demands a certificate; on the others test/hub lets devices in as IoT Hub and IoT Core do.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/servers.sh"
need swtpm openssl mosquitto mosquitto_pub mosquitto_sub
document=$srcdir/docs/mqtt.md
plugin=$BUILD/.libs/hub.so
[ -e "$plugin" ] || skip_all "the hub is not built; it needs mosquitto-dev, libmosquitto-dev and libjansson-dev"
unset XDG_CONFIG_HOME
export HOME="$work"

# ---- a device, and those who know it ----

pki_make
tpm_start
"$T2C" key create ldevid >/dev/null
"$T2C" csr ldevid --subject /CN=pump --eku clientAuth --out "$work/pump.csr"
"$ESTCA" sign "$work/pki" --csr "$work/pump.csr" --out "$work/pump.crt"
"$T2C" cert import ldevid "$work/pump.crt" >/dev/null
openssl rand -base64 32 >"$work/key"
openssl rand -base64 32 >"$work/other"
string() { # DEVICE KEY-FILE
    echo "HostName=hub.azure-devices.net;DeviceId=$1;SharedAccessKey=$(cat "$work/$2")"
}
string pump key >"$work/connection-string"
mkdir "$work/devices" "$work/bin" "$work/etc"
cp "$work/key" "$work/devices/pump.key"
: >"$work/devices/pump.x509"
cp "$srcdir/packaging/openssl.cnf" "$work/etc"

cert_port=$(free_port) hub_port=$(free_port) both_port=$(free_port) plain_port=$(free_port)
tls() { # PORT LINE...
    printf 'listener %s 127.0.0.1\ncertfile %s\nkeyfile %s\ncafile %s\n' "$1" "$work/server.crt" "$work/server.key" "$work/pki/root.pem"
    shift
    printf '%s\n' "$@"
}
hub() { # its options
    printf '%s\n' "plugin $plugin" "plugin_opt_host hub.azure-devices.net" "plugin_opt_project my-project" \
        "plugin_opt_devices $work/devices" "allow_anonymous false"
}
printf 'pattern write devices/%%u/messages/events/#\n' >"$work/acl"
{
    if_root "user $drop_to"
    echo "per_listener_settings true"
    tls "$cert_port" "require_certificate true" "use_identity_as_username true" "acl_file $work/acl"
    tls "$both_port" "require_certificate true" "$(hub)"
    tls "$hub_port" "$(hub)"
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type notice\nlog_type error\nlog_type warning\n' "$plain_port"
} >"$work/mosquitto.conf"
chmod -R go+rX "$work"
chmod 600 "$work/acl"
chown "$drop_to:$drop_to_group" "$work/acl"
in_background mosquitto -c "$work/mosquitto.conf" 2>>"$work/mosquitto.log"
wait_for 10 mosquitto_pub -h localhost -p "$plain_port" -t early -m early || skip_all "mosquitto does not start: $(cat "$work/mosquitto.log")"
in_background mosquitto_sub -h localhost -p "$plain_port" -q 1 -t '#' -v >"$work/received" 2>&1
wait_for 10 sh -c "mosquitto_pub -h localhost -p $plain_port -t early -m early; grep -q early '$work/received'"

# ---- the document ----

printf '#!/bin/sh\nexec "%s" "$@"\n' "$T2C" >"$work/bin/tpm2cloud"
chmod +x "$work/bin"/*
PATH=$work/bin:$PATH
# commands NAME PORT: what the document has by that name, for the broker's PORT
commands() {
    awk -v "name=$1" '/^```/ { here = $0 == "```sh " name; next } here' "$document" |
        sed "s|-h [a-z.-]* -p 8883|-h localhost -p $2|; s|/etc/ssl/certs/ca-certificates.crt|$work/pki/root.pem|; s|/etc/tpm2cloud/|$work/etc/|g
            s|/root/|$work/|g; s|/run/|$work/run-|g"
}
follow() { # NAME PORT
    commands "$1" "$2" >"$work/commands"
    check "$1: there are commands" test -s "$work/commands"
    check "$1: they succeed" stock sh -e "$work/commands"
    cp "$work/out" "$work/said"
}
# arrived MESSAGE: it is there, once
arrived() {
    wait_for 10 grep -qxF "$1" "$work/received" && [ "$(grep -cxF "$1" "$work/received")" -eq "${2:-1}" ]
}
telemetry=devices/pump/messages/events/
follow certificate "$cert_port"
check "certificate: the message arrives" arrived "$telemetry {\"level\": 7}"
follow certificate "$both_port"
check "certificate: at a hub that looks at the user name, too" arrived "$telemetry {\"level\": 7}" 2
follow import "$hub_port"
check "import: the connection string is gone" [ ! -e "$work/connection-string" ]
follow token "$hub_port"
check "token: the message arrives" arrived "$telemetry {\"level\": 8}"
check_equal "token: nobody else may read it" 700 "$(stat -c '%a' "$work/run-pump")"
follow public "$hub_port"
check_equal "public: it is the key in PEM" "$(openssl pkey -pubin -in "$work/said" -pubout)" "$(sed -n '/BEGIN/,$p' "$work/said")"
sed -n '/BEGIN/,$p' "$work/said" >"$work/devices/gauge.pub"
chmod go+r "$work/devices"/*
follow jwt "$hub_port"
check "jwt: the message arrives" arrived '/devices/gauge/events {"level": 9}'
check_equal "each block of the document was followed" "certificate import token public jwt" \
    "$(sed -n 's/^```sh //p' "$document" | paste -sd ' ')"

# ---- who is not let in ----

# refused WHAT WHY OPTIONS...: the hub does not let such a client in, and its log says why
refused() {
    what=$1 why=$2
    shift 2
    : >"$work/mosquitto.log"
    check_fails "$what: is refused" "not authorised" mosquitto_pub -h localhost -p "$hub_port" --cafile "$work/pki/root.pem" \
        -q 1 -t "$telemetry" -m "refused: $what" "$@"
    check "$what: the hub says why" grep -qF "$why" "$work/mosquitto.log"
}
user='hub.azure-devices.net/pump/?api-version=2021-04-12'
string pump other | "$T2C" sas import wrong --from - >/dev/null
refused "a token by another key" "a signature by another key" -i pump -u "$user" -P "$("$T2C" sas token wrong)"
refused "a token for something else" "for something else" -i pump -u "$user" \
    -P "$("$T2C" sas token pump --resource hub.azure-devices.net/devices/pump2)"
refused "a device that nobody knows" "does not come with a key" -i pump2 -u "hub.azure-devices.net/pump2/?api-version=2021-04-12" \
    -P "$("$T2C" sas token pump --resource hub.azure-devices.net/devices/pump2)"
refused "another user name" "a user name that is not" -i pump -u pump -P "$("$T2C" sas token pump)"
core=projects/my-project/locations/eu/registries/pumps/devices/gauge
refused "a web token by another key" "a token by another key" -i $core -u unused -P "$("$T2C" jwt ldevid --aud my-project --ttl 1h)"
refused "a web token for others" "a token for somebody else" -i $core -u unused -P "$("$T2C" jwt gauge --aud project --ttl 1h)"
refused "a web token for too long" "a token for too long" -i $core -u unused -P "$("$T2C" jwt gauge --aud my-project --ttl 2d)"
"$T2C" sas token pump --ttl 1 >"$work/short.sas"
"$T2C" jwt gauge --aud my-project --ttl 1 >"$work/short.jwt"
over() { # a second and more has passed
    [ "$(date +%s)" -gt $((made + 1)) ]
}
made=$(date +%s)
wait_for 15 over
refused "a token that is over" "a shared access signature that is over" -i pump -u "$user" -P "$(cat "$work/short.sas")"
refused "a web token that is over" "a token that is over" -i $core -u unused -P "$(cat "$work/short.jwt")"
# fails_in_tls WHAT COMMAND...: with one of the two messages that the document has; which, is chance
sed -n 's/^| `\([^`]*\)` or `\([^`]*\)`, and no more |.*/\1\n\2/p' "$document" >"$work/tls-errors"
check_equal "the document has two" 2 "$(wc -l <"$work/tls-errors")"
fails_in_tls() {
    what=$1
    shift
    check_fails "$what: fails" "" "$@"
    cp "$work/err" "$work/said"
    check "$what: as the document has it" grep -qFf "$work/tls-errors" "$work/said"
}
commands certificate "$cert_port" | grep -v OPENSSL_CONF >"$work/commands"
fails_in_tls "without our configuration" stock sh -e "$work/commands"
fails_in_tls "a broker of an unknown CA" \
    mosquitto_pub -h localhost -p "$hub_port" --cafile "$work/elsewhere/root.pem" -t "$telemetry" -m refused
check_fails "a certificate of another CA" "" mosquitto_pub -h localhost -p "$cert_port" --cafile "$work/pki/root.pem" \
    --cert "$work/stranger.crt" --key "$work/stranger.key" -t "$telemetry" -m refused
# Another device's certificate: mosquitto lets it in, and throws away what it sends for the pump.
mosquitto_pub -h localhost -p "$cert_port" --cafile "$work/pki/root.pem" --cert "$work/client.crt" --key "$work/client.key" -q 1 \
    -t "$telemetry" -m "refused: thrown away"
mosquitto_pub -h localhost -p "$cert_port" --cafile "$work/pki/root.pem" --cert "$work/client.crt" --key "$work/client.key" -q 1 \
    -t devices/client/messages/events/ -m "its own"
check "a device's own topic" arrived "devices/client/messages/events/ its own"
check_equal "nothing of what was refused has arrived" "" "$(grep refused "$work/received")"
tpm_clean "mqtt"
finish
