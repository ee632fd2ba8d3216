#!/bin/sh
# When certificates are renewed, as estd tells it: lifetimes from an hour to 200 years and for ever, the terms of IoT Edge's
# configuration, and the same moment after a restart.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
cd "$work" || exit 99
unset TPM2CLOUD_ESTD_CONF TPM2CLOUD_CONF NOTIFY_SOCKET OPENSSL_CONF
mkdir certs.d installed
"$ESTCA" init ca >/dev/null
cat >estd.conf <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = none
END
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -subj /CN=dev -out csr 2>req.err

# certificate NAME LIFETIME FROM TO [LINE-OF-RENEW]: to be renewed in that part of its lifetime, in seconds from now
certificate() {
    case $2 in
    never) "$ESTCA" sign ca --csr csr --out "installed/$1.pem" --not-after 99991231235959Z ;;
    *) "$ESTCA" sign ca --csr csr --out "installed/$1.pem" --lifetime "$2" ;;
    esac
    echo "$1 $(date +%s) $3 $4" >>wanted
    cat >"certs.d/$1.conf" <<END
[certificate]
url = https://localhost:1/.well-known/est
trust = $work/ca/root.pem
key = $work/key
subject = /CN=dev
[renew]
${5:-}
[install]
file = $work/installed/$1.pem
END
}
day=86400
certificate hour 3600 2160 2880
certificate day $day 51840 69120
certificate month $((30 * day)) $((18 * day)) $((24 * day))
certificate year $((365 * day)) $((219 * day)) $((292 * day))
certificate years $((30 * 365 * day)) $((30 * 219 * day)) $((30 * 292 * day))
certificate ages $((200 * 365 * day)) $((200 * 219 * day)) $((200 * 292 * day))
certificate never never 0 never
certificate early $((100 * day)) $((10 * day)) $((20 * day)) 'window = 10-20'
certificate percent $((100 * day)) $((70 * day)) $((90 * day)) 'threshold = 90%'
certificate before $((100 * day)) $((67 * day)) $((87 * day)) 'threshold = 13day'
certificate toolong $((10 * day)) $((3 * day)) $((5 * day)) 'threshold = 30d'

# told: "NAME TIME" for each certificate, when estd says that it is renewed
told() { sed -n 's/^estd: \([a-z]*\): found a certificate, .*, next renewal \([0-9TZ:-]*\|never\)$/\1 \2/p' "$1" | sort; }
found_all() { [ "$(told "$1" | grep -c .)" -eq "$(grep -c . wanted)" ]; }
# look LOG: starts estd until it has found all
look() {
    "$ESTD" -c estd.conf 2>"$1" &
    daemon=$!
    pids="$pids $daemon"
    wait_for 10 found_all "$1" || sed 's/^/# /' "$1"
    kill "$daemon"
    wait "$daemon"
}
# seconds_of TIME: since the epoch; date(1) knows no times behind 2038 where time_t has 32 bits
seconds_of() {
    echo "$1" | tr -c '0-9\n' ' ' | awk '{
        y = $2 > 2 ? $1 : $1 - 1
        m = ($2 + 9) % 12
        days = 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((m * 306 + 5) / 10) + $3 - 1 - 719468
        printf "%.0f\n", days * 86400 + $4 * 3600 + $5 * 60 + $6
    }'
}
# within NAME SIGNED FROM TO: what was told for NAME lies there
within() {
    at=$(told log | sed -n "s/^$1 //p")
    [ "$at" = "$4" ] && return
    [ "$at" != never ] || return 1
    at=$(($(seconds_of "$at") - $2))
    [ "$at" -ge $(($3 - 3)) ] && [ "$at" -le $(($4 + 3)) ]
}

check "estd finds them" look log
while read -r name signed from to; do
    check "$name: renewed between $from and $to s" within "$name" "$signed" "$from" "$to"
done <wanted
told log >first
check "estd, once more" look again
told again >second
check_equal "says the same for each of them" "$(cat first)" "$(cat second)"
check_equal "and has not asked anybody" 0 "$(grep -c 'cannot' log)"
finish
