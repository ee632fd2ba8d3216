#!/bin/sh
# The configuration that is installed with estd: it names every setting that there is, and what it shows is valid.
# shellcheck disable=SC1091,SC2154
. "${srcdir:-.}/test/harness.sh"
conf=$srcdir/packaging/estd.conf

# settings TABLE FILE: SECTION KEY, a line each, as the program knows them
settings() {
    sed -n "/t2c_conf_key $1\\[\\]/,/^};/s/^ *{\"\\([a-z]*\\)\", \"\\([a-z0-9_]*\\)\"}.*/\\1 \\2/p" "$srcdir/estd/$2"
}
# shown: the same, as they are shown; those of a certificate are indented
shown() {
    sed 's/^# \{5\}//; s/^#//' "$conf" | awk '
        /^\[[a-z]+\]$/ {section = substr($0, 2, length($0) - 2); next}
        match($0, /^#?[a-z0-9_]+ = /) {sub(/^#/, ""); print section, $1}' | sort -u
}
# What stands in [defaults] for [certificate] and [renew] has the same name there, and is not shown again.
common() {
    shown | sed -n 's/^defaults \(.*\)/certificate \1\nrenew \1/p'
}
settings main_keys config.c | sort >"$work/known"
settings keys config_cert.c | sort >"$work/known_cert"
shown >"$work/shown"
{
    cat "$work/shown"
    common
} | sort -u >"$work/covered"
check "settings are known" [ "$(cat "$work/known" "$work/known_cert" | wc -l)" -gt 50 ]
check_equal "each setting of estd.conf is shown" "" "$(comm -23 "$work/known" "$work/shown")"
check_equal "each of a certificate's file is shown there or in [defaults]" "" "$(comm -23 "$work/known_cert" "$work/covered")"
check_equal "none is shown that is not known" "" \
    "$(cat "$work/known" "$work/known_cert" | sort -u | comm -13 - "$work/shown")"

# The example of a certificate, and all lines of the file but those that exclude one another.
mkdir -p "$work/certs.d"
sed -n 's/^# \{5\}//p' "$conf" >"$work/certs.d/device-id.conf"
sed -e '/^# \{5\}/d' -e 's/^#\([a-z0-9_]* = \)/\1/' -e '/12ab/d' \
    -e "s|^certs_d = .*|certs_d = $work/certs.d|; s|^owner = .*|owner = $(id -un)|" "$conf" >"$work/estd.conf"
check "what it shows is valid" "$ESTD" -c "$work/estd.conf" --check-config
check_equal "with one certificate" "1 certificate(s), state in /var/lib/tpm2cloud/estd: the configuration is good" \
    "$(tail -n 1 "$work/out")"
finish
