# shellcheck shell=sh disable=SC2034,SC2154
# Shared by the stories about the faults of the test server; sourced after estd.sh. Their table is test/faults.tsv, a row for
# each, and a certificate for each row: fNUMBER, at a server of its own.
#
#     op        what is disturbed: any connection, an enrolment (renewal), cacerts, csrattrs; or a first enrolment by a
#               password, basic or digest
#     faults    those of estca; what begins with two dashes is another option of it; --down: there is no server
#     reaction  accept   a new certificate is installed
#               retry    another try soon, and then after longer and longer pauses
#               timeout  the same, after the time that the lifetime allows for a transfer
#               late     accept, after that time
#               slow     another try at the slowest pace, because a human must act
#               down     the same as retry, and after three of them the next identity: see the ladder in docs/est.md
#               wait=S   another try after so many seconds
#     n         how many requests, or connections that fail, one try costs; -: any
#     says      in the log; -: anything

table=$srcdir/test/faults.tsv

# rows [REACTION...]: the table, or what of it has the reaction; a number in front of each row
rows() {
    awk -F '\t' -v OFS='\t' -v which="$*" 'BEGIN { split(which, list, " "); for (i in list) wanted[list[i]] }
        NR > 1 { kind = $4; sub(/=.*/, "", kind) }
        NR > 1 && (which == "" || kind in wanted) { print NR - 1, $0 }' "$table"
}

# arguments FAULTS: those of estca
arguments() {
    for word in $1; do
        case $word in
        --down) ;;
        --*) echo "$word" ;;
        *) echo "--fault=$word" ;;
        esac
    done
}

# fault_serve NUMBER OP FAULTS: the server of a row, which serves at f1.port and so on
fault_serve() {
    row=f$1 op=$2 words=$3
    : >"$work/$row.log"
    case $op in
    cacerts | csrattrs) set -- --fault-op "$op" ;;
    *) set -- ;;
    esac
    # shellcheck disable=SC2046
    "$ESTCA" serve "$work/ca" --port-file "$work/$row.port" --log "$work/$row.log" --client-ca "$work/factory/root.pem" \
        --user dev:secret "$@" $(arguments "$words") >/dev/null 2>"$work/$row.err" &
    echo $! >"$work/$row.pid"
    pids="$pids $!"
}

# fault_conf NUMBER OP FAULTS OLD: the certificate of a row; a copy of OLD is installed, but before a first enrolment.
fault_conf() {
    row=f$1
    wait_for 10 test -s "$work/$row.port" || skip_all "estca does not start: $(cat "$work/$row.err")"
    {
        printf '[certificate]\nurl = https://localhost:%s/.well-known/est\nkey = %s\n' "$(cat "$work/$row.port")" "$work/dev.key"
        printf 'subject = /CN=dev\nsan = DNS:dev.example\n[auth]\n'
        case $2 in
        basic | digest) printf 'user = dev\npassword_file = %s\nmethod = %s\n' "$work/password" "$2" ;;
        *) printf 'key = %s\ncert = %s\n' "$work/idevid.key" "$work/idevid.pem" ;;
        esac
        printf '[install]\nfile = %s\n' "$work/installed/$row.pem"
    } >"$work/certs.d/$row.conf"
    case $2 in
    basic | digest) ;;
    *) cp "$4" "$work/installed/$row.pem" ;;
    esac
    case $3 in *--down*) kill "$(cat "$work/$row.pid")" ;; esac
}

# fault_pki: what all rows have in common
fault_pki() {
    new_key dev
    ca_make ca
    ca_make factory
    factory idevid factory
    echo secret >"$work/password"
    openssl req -new -key "$work/dev.key" -subj /CN=dev -addext subjectAltName=DNS:dev.example \
        -addext extendedKeyUsage=clientAuth -out "$work/dev.csr"
    port=1
    estd_conf "$work/ca/root.pem"
}

# said NUMBER [TEXT]: what estd's log says of a row, or whether it is TEXT
said() {
    if [ $# -eq 1 ]; then
        grep "f$1: " "$work/estd.err"
    else
        grep "f$1: " "$work/estd.err" | grep -qF -- "$2"
    fi
}

# tries NUMBER OP: how often the server of a row was asked for what is disturbed
tries() {
    case $2 in
    cacerts | csrattrs) grep -c "op=$2" "$work/f$1.log" ;;
    *) grep -c 'op=tls\|op=http\|op=simple' "$work/f$1.log" ;;
    esac
}

# settled NUMBER: estd has decided about a row
settled() {
    said "$1" "next try in" || said "$1" "goes out again in" || said "$1" "renewed, " || said "$1" "enrolled, "
}

# problem TEXT: something is wrong with the row that is looked at
problem() {
    problems="$problems
$1"
}

# untouched NUMBER OP OLD: what was installed before a fault is installed still
untouched() {
    case $2 in
    basic | digest) [ ! -e "$work/installed/f$1.pem" ] || problem "something is installed" ;;
    *) cmp -s "$3" "$work/installed/f$1.pem" || problem "the old certificate is not there any more" ;;
    esac
}

# verdict NUMBER WHAT: a line of TAP by what was found
verdict() {
    if [ -z "$problems" ]; then
        ok "$2"
        return
    fi
    not_ok "$2"
    echo "$problems" | sed '1d; s/^/# /'
    said "$1" | tail -n 5 | sed 's/^/# estd: /'
    tail -n 5 "$work/f$1.log" | sed 's/^/# server: /'
}
