# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the stories about DPS; sourced after harness.sh. A double of DPS, test/dps, with what is enrolled in $work/enrolments,
# which it reads again for each request; its log is $work/dps.log, the keys it gives are in $work/given.

unset http_proxy https_proxy HTTPS_PROXY ALL_PROXY all_proxy NO_PROXY no_proxy
scope=0ne00TEST01

# dps_needed: what the double takes
dps_needed() {
    need /usr/bin/python3
    dps_can ||
        skip_all "python3-cryptography and python3-openssl are not installed; tools/setup test installs them"
}

# dps_can: says whether a double can run here
dps_can() {
    env -u OPENSSL_MODULES /usr/bin/python3 -c 'import cryptography, OpenSSL' 2>/dev/null
}

# dps_start ARGUMENTS...: the double, with the files that are there; sets $dps_url, and $dps to its pid.
dps_start() {
    mkdir -p "$work/given"
    rm -f "$work/dps.port"
    : >>"$work/enrolments"
    env -u OPENSSL_MODULES "$srcdir/test/dps/dps" serve "$work/dps" --port-file "$work/dps.port" --log "$work/dps.log" --scope "$scope" \
        --enrolments "$work/enrolments" --keys "$work/given" "$@" 2>"$work/dps.err" &
    dps=$!
    pids="$pids $dps"
    wait_for 20 test -s "$work/dps.port" || {
        sed 's/^/# /' "$work/dps.err"
        return 1
    }
    dps_url=https://localhost:$(cat "$work/dps.port")
    dps_ca=$work/dps/root.pem
}

dps_stop() {
    end_process "$dps"
}

# enrolled LINE...: these and $always alone are enrolled, and nothing has been asked yet
always=
enrolled() {
    printf '%s\n' "$@" "$always" >"$work/enrolments.new"
    mv "$work/enrolments.new" "$work/enrolments"
    : >"$work/dps.log"
}

# asked [FILTER]: how many requests there were for which jq's FILTER holds
asked() {
    jq -s "map(select(${1:-true})) | length" "$work/dps.log"
}

# given_mac KIND REGISTRATION TEXT: the HMAC by the key that the double gave, in hexadecimal; KIND: registration, hub
given_mac() {
    printf %s "$3" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(cat "$work/given/$2.$1")" | sed 's/.*= //'
}
