#!/bin/sh
# The manual, the help and the completion say what the programs do: each is held against their tables, and its examples run.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl bash make mandoc
unset MAKEFLAGS MAKELEVEL MFLAGS
man=$srcdir/packaging/man
PATH=$BUILD:$PATH

# section FILE NAME: the lines of a section (.Sh) or subsection (.Ss).
section() {
    awk -v name="$2" '/^\.S[hs] / { on = substr($0, 5) == name; next } on' "$man/$1"
}
# synopsis FILE: each call as a line, as the help writes it.
synopsis() {
    section "$1" SYNOPSIS | awk '
        /^\.Nm$/ { if (line != "") print line; line = ""; next }
        /^\.Nm/ { if (line != "") print line; line = "" }
        {
            open = 0; text = ""; option = 0
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^\.?(Nm|Cm|Ar)$/) continue
                if ($i ~ /^\.?Op$/) { open++; bracket = bracket "["; continue }
                if ($i ~ /^\.?Fl$/) { option = 1; continue }
                text = text (text == "" ? "" : " ") bracket (option ? "-" : "") $i
                bracket = ""; option = 0
            }
            while (open-- > 0) text = text "]"
            line = line (line == "" ? "" : " ") text
        }
        END { print line }'
}
# options [FILE SECTION]: those that are described in it, or in the standard input; those with two dashes, without the dashes.
options() {
    if [ $# -gt 0 ]; then section "$1" "$2"; else cat; fi |
        sed -n 's/^\.It Fl \([^-].* , \)\{0,1\}-\([a-z-]*\).*/\2/p' | sort
}
# named: the options in lines of help.
named() {
    grep -o -- '--[a-z][a-z-]*' | sed 's/^--//' | sort -u
}
lines() {
    sort -u | xargs
}

check_equal "mandoc finds nothing in the pages" "" "$(mandoc -T lint -W warning "$man"/*.[1-8] 2>&1)"
# shellcheck disable=SC2016
check_equal "each page is installed" "$(cd "$man" && echo ./*)" \
    "$(echo 'print-it: ; @echo $(sort $(addprefix ./,$(notdir $(dist_man_MANS))))' |
        make -s --no-print-directory -C "$BUILD" -f Makefile -f - print-it)"
sed -n 's/^\.Xr \(tpm2cloud[a-z.-]*\|estd[a-z.]*\|provider-tpm2cloud\) \([1-8]\).*/\1.\2/p' "$man"/* | sort -u >"$work/pages"
while read -r page; do
    check "a page that others refer to: $page" test -f "$man/$page"
done <"$work/pages"

# ---- the command ----

"$T2C" --help | sed -n 's/^  \([a-z-]\)/\1/p' >"$work/table"
check "there are verbs" [ "$(wc -l <"$work/table")" -gt 20 ]
check_equal "the synopsis of tpm2cloud(1) is the table" "$(cat "$work/table")" "$(synopsis tpm2cloud.1)"
options tpm2cloud.1 OPTIONS >"$work/common"
while read -r line; do
    verb=$(echo "$line" | sed 's/^\([a-z0-9]*\( [a-z]\+\)\{0,1\}\).*/\1/')
    case $verb in help | "") continue ;; esac
    # shellcheck disable=SC2086
    check_equal "$verb: help says the same" "usage: tpm2cloud $line" "$("$T2C" help $verb | head -n 1)"
    # shellcheck disable=SC2086
    check_equal "$verb: so does --help" "$("$T2C" help $verb)" "$("$T2C" $verb --help)"
    echo "$line" | named >"$work/wanted"
    # shellcheck disable=SC2086
    check_equal "$verb: takes these options" "$(lines <"$work/wanted")" \
        "$("$T2C" $verb --qqqqqqqqqqqqqqqqqqqq 2>&1 | sed -n 's/.*; known are: //p' | named | lines)"
    check_equal "$verb: and tpm2cloud(1) tells each" "$(lines <"$work/wanted")" \
        "$({ options tpm2cloud.1 "$verb"; comm -12 "$work/common" "$work/wanted"; } | lines)"
    check "$verb: in words" test -n "$(section tpm2cloud.1 "$verb" | grep -v '^\.')"
    # shellcheck disable=SC2086
    check_equal "$verb: bash completes them" "$(lines <"$work/wanted")" "$("$srcdir/test/complete" $verb -- 2>&1 | named | lines)"
done <"$work/table"
while read -r option; do
    check "--$option is of several verbs" [ "$(grep -c -- "--$option" "$work/table")" -gt 1 ]
done <"$work/common"
check_equal "no verb is described that is not" "$(sed 's/^\([a-z0-9]*\( [a-z]\+\)\{0,1\}\).*/\1/' "$work/table" | sed '/^-/d' | lines)" \
    "$(sed -n '/^\.Sh COMMANDS/,/^\.Sh OPTIONS/s/^\.Ss //p' "$man/tpm2cloud.1" | lines)"

# ---- completion ----

offered() {
    "$srcdir/test/complete" "$@" 2>&1 | lines
}
check_equal "bash completes the first word" "$(cut -d ' ' -f 1 "$work/table" | lines)" "$(offered "")"
check_equal "and a part of it" "release reload renew" "$(offered re)"
check_equal "a verb" "clean configure migrate rollback" "$(offered aziot "")"
check_equal "what help is asked for" "clean configure migrate rollback" "$(offered help aziot "")"
check_equal "a choice" "ec-p256 ec-p384 ec-p521" "$(offered key create pump --alg ec)"
check_equal "a source, whose rest it does not know" "cred: env: file:" "$(offered key create pump --auth "")"
check_equal "a name" "idevid" "$(offered cert show id)"
touch "$work/some.pem"
check_equal "a file, behind the name" "$work/some.pem" "$(offered cert import ldevid "$work/som")"
check_equal "nothing for a verb that is not" "" "$(offered key make "")"

# ---- the daemon, and root's part ----

check_equal "estd(8) has the options of estd" "$("$ESTD" --help | named | lines)" "$(options <"$man/estd.8" | lines)"
check_equal "tpm2cloud-deploy(8) those of tpm2cloud-deploy" "$("$BUILD/tpm2cloud-deploy" --help | named | lines)" \
    "$(options <"$man/tpm2cloud-deploy.8" | lines)"
check_fails "which takes the long ones" "cannot open /nonexistent" "$BUILD/tpm2cloud-deploy" --config /nonexistent
check_fails "estd: a mistyped option" "Did you mean --check-config? Try estd --help." "$ESTD" --chek-config
check_fails "one that is like none" "Try estd --help." "$ESTD" --qqqqqqq

# ---- the files ----

# settings TABLE FILE: SECTION KEY, as the program knows them
settings() {
    sed -n "/t2c_conf_key $1\\[\\]/,/^};/s/^ *{\"\\([a-z_]*\\)\", \"\\([a-z0-9_]*\\)\"}.*/\\1 \\2/p" "$srcdir/$2"
}
# told FILE: SECTION KEY, and SECTION KEY = VALUE where there is one, as the page has them
told() {
    awk '/^\.Ss \[/ { name = substr($2, 2, length($2) - 2) }
        /^\.It Cm / {
            sub(/^\.It Cm /, "")
            if ($0 ~ / = /) { print name, $0; next }
            gsub(/,/, " ")
            for (i = 1; i <= NF; i++) print name, $i
        }' "$man/$1"
}
{
    settings main_keys estd/config.c
    settings keys estd/config_cert.c
} | sort >"$work/known"
check "settings are known" [ "$(wc -l <"$work/known")" -gt 50 ]
check_equal "estd.conf(5) has each, and no other" "$(cat "$work/known")" "$(told estd.conf.5 | cut -d ' ' -f 1-2 | sort)"
# As story_estd_conf.sh reads it, with values; what is common is shown for all.
sed 's/^# \{5\}//; s/^#//' "$srcdir/packaging/estd.conf" | awk '
    /^\[[a-z]+\]$/ { section = substr($0, 2, length($0) - 2); next }
    match($0, /^#?[a-z0-9_]+ = /) {
        sub(/^#/, "")
        print section, $0
        if (section == "defaults") { print "certificate", $0; print "renew", $0 }
    }' | sort >"$work/shown"
check_equal "with the values that the installed file shows" "" \
    "$(told estd.conf.5 | grep ' = ' | sort | comm -23 - "$work/shown")"
mkdir "$work/certs.d"
section estd.conf.5 EXAMPLES | sed '/^\./d' >"$work/certs.d/device-id.conf"
echo "[estd]
certs_d = $work/certs.d" >"$work/estd.conf"
check "its example is good" "$ESTD" -c "$work/estd.conf" --check-config
settings keys tools/provision_conf.c | sort >"$work/known"
check_equal "provision.conf(5) has each, and no other" "$(cat "$work/known")" "$(told provision.conf.5 | cut -d ' ' -f 1-2 | sort)"
sed 's/^#\(\[\|[a-z_]* = \)/\1/' "$srcdir/packaging/provision.conf" | awk '
    /^\[[a-z_]+\]$/ { section = substr($0, 2, length($0) - 2); next }
    /^[a-z_]+ = / { print section, $0 }' | sort >"$work/shown"
check_equal "with the values that the installed file shows" "" "$(told provision.conf.5 | sort | comm -3 - "$work/shown")"
check_equal "tpm2cloud.conf(5) has the lines of the installed file" \
    "$(sed -n 's/^#\([a-z_]* = \)/\1/p' "$srcdir/packaging/tpm2cloud.conf")" "$(told tpm2cloud.conf.5 | sed -n 's/^ \(.* = \)/\1/p')"
check_equal "and those are the keys that there are" \
    "$(sed -n '/^bool t2c_settings_load/,/;$/p' "$srcdir/lib/conf.c" | grep -o 'NULL, "[a-z_]*"' | cut -d '"' -f 2 | lines)" \
    "$(told tpm2cloud.conf.5 | cut -d ' ' -f 2 | lines)"
sed -n 's/.*getenv("\(TPM2[A-Z0-9_]*\)").*/\1/p' "$srcdir"/lib/*.c "$srcdir"/tools/*.c | sort -u >"$work/variables"
while read -r variable; do
    check "the variable $variable is told" grep -q "^\\.It Ev .*$variable" "$man/tpm2cloud.1"
done <"$work/variables"

# ---- the examples, on a TPM ----

tpm_start
cd "$work" || exit 1
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 1 2>/dev/null
section tpm2cloud.1 EXAMPLES | grep '^[a-z]' | grep -v '^A' >"$work/examples"
check "there are examples" [ "$(wc -l <"$work/examples")" -ge 8 ]
while read -r line; do
    check "example: $line" sh -c "$line"
done <"$work/examples"
section provision.conf.5 EXAMPLES | sed '/^\./d' >"$work/provision.conf"
check "the example of provision.conf(5) has a plan" sh -c "'$T2C' provision --config '$work/provision.conf' --dry-run | grep -q '^to do  *operational-cert'"
for name in ek srk idevid iak ldevid pump2; do
    "$T2C" key create $name >"$work/made"
    alg=$(sed -n 's/.* (\([a-z0-9-]*\), .*/\1/p' "$work/made") handle=$(sed -n 's/.*, \(0x[0-9a-f]*\)).*/\1/p' "$work/made")
    check_equal "the algorithm of $name" "$alg" "$(section tpm2cloud.1 'key create' |
        sed 's/^\.[A-Z][a-z] //; s/^and$//' | xargs | sed -n "s/.*ALGORITHM \(\S*\) unless said; for ek srk it is \(\S*\) .*/\1 \2/p" |
        case $name in ek | srk) cut -d ' ' -f 2 ;; *) cut -d ' ' -f 1 ;; esac)"
    [ -z "$handle" ] || check "the handle of $name" sh -c "grep -A 1 -x '.It Sy $name' '$man/tpm2cloud.1' | grep -qw $handle"
done
echo secret >"$work/pump.auth"
"$T2C" key create guarded --auth "file:$work/pump.auth" >/dev/null
"$T2C" cert export ldevid --out "$work/certs/pump.pem"
section tpm2cloud-uri.7 EXAMPLES | grep '^tpm2cloud:' >"$work/uris"
check "there are URIs" [ "$(wc -l <"$work/uris")" -ge 7 ]
while read -r uri; do
    # The paths of a device are those of this test; there is no certificate in an NV index.
    here=$(echo "$uri" | sed "s|/var/lib/tpm2cloud/keys|$work/keys|; s|pump?|guarded?|; s|/etc/tpm2cloud|$work|")
    case $uri in
    *nv=*) check_fails "URI: $uri" "0x01c90200" ssl storeutl -noout "$here" ;;
    *) check "URI: $uri" ssl storeutl -noout "$here" ;;
    esac
done <"$work/uris"
check_fails "the page has all attributes" "known are $(section tpm2cloud-uri.7 'Behind a semicolon' | sed -n 's/^\.It Cm //p' | xargs | sed 's/ /, /g')" \
    ssl storeutl -noout "tpm2cloud:ldevid;colour=red"
check_fails "behind the question mark, too" \
    "known is $(section tpm2cloud-uri.7 'Behind the question mark' | sed -n 's/^\.It Cm //p')" \
    ssl storeutl -noout "tpm2cloud:ldevid?colour=red"
finish
