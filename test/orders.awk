# From the reasons (code, what openssl says, why) and test/orders.tsv to the part of docs/orders.md that is not written by hand.
BEGIN { FS = "\t" }

function add(list, word) { # a set of words, as a string, in the order of their coming
    return index(" " list " ", " " word " ") ? list : list == "" ? word : list " " word
}
function joined(list) {
    gsub(/ /, " and ", list)
    return list
}
# Of the keys of an operation, those that are meant: nothing when all are, "rsa", "wrapper and file", or each by name.
function which_keys(all, those,    n, i, part, keys, forms, is, every, other_keys, other_forms) {
    if (all == those)
        return ""
    n = split(those, part, / /)
    for (i = 1; i <= n; i++) {
        split(part[i], is, /-/)
        keys = add(keys, is[1])
        forms = add(forms, is[2])
    }
    n = split(all, part, / /)
    for (i = 1; i <= n; i++) {
        split(part[i], is, /-/)
        if (index(" " keys " ", " " is[1] " ") && index(" " forms " ", " " is[2] " "))
            every = add(every, part[i])
        other_keys = add(other_keys, is[1])
        other_forms = add(other_forms, is[2])
    }
    if (every != those)
        return joined(those)
    if (keys == other_keys)
        return joined(forms)
    return joined(keys) (forms == other_forms ? "" : " by " joined(forms))
}
function concerned(order, code, version,    i, n, operation, keys, m, kinds, kind, said) {
    n = split(operations, operation, / /)
    for (i = 1; i <= n; i++)
        if ((order, code, version, operation[i]) in no) {
            keys = which_keys(asked[operation[i]], no[order, code, version, operation[i]])
            if (!(keys in said))
                kinds[++m] = keys
            said[keys] = said[keys] (said[keys] == "" ? "" : ", ") operation[i]
        }
    for (i = 1; i <= m; i++)
        kind = kind (i > 1 ? "; " : "") (kinds[i] == "" ? "" : kinds[i] ": ") said[kinds[i]]
    return kind
}
function reasons_of(order,    c, first, second, both, out) {
    for (c = 1; c <= codes_n; c++) {
        first = concerned(order, code_of[c], version[1])
        second = concerned(order, code_of[c], version[2])
        both = first == second
        if (first != "" || second != "")
            out = out "- **" code_of[c] "**: " why[code_of[c]] ".\n"
        if (first != "")
            out = out "  - OpenSSL " version[1] (both ? " and " version[2] : "") ": " first "\n"
        if (second != "" && !both)
            out = out "  - OpenSSL " version[2] ": " second "\n"
    }
    return out
}

FNR == NR { why[$1] = $3; codes = add(codes, $1); next }
FNR == 1 { versions = $5 " " $6; version[1] = $5; version[2] = $6; next }
{
    orders = add(orders, $1)
    operations = add(operations, $4)
    if ($5 == "-")
        next
    asked[$4] = add(asked[$4], $2 "-" $3)
    for (i = 1; i <= 2; i++) {
        result = $(4 + i)
        if (result == "yes") {
            yes[$1, version[i]]++
            works[$1, $4]++
        } else {
            code = substr(result, 4)
            no[$1, code, version[i], $4] = add(no[$1, code, version[i], $4], $2 "-" $3)
            noes[$1, version[i]]++
            fails[$1, $4]++
        }
    }
}

END {
    orders_n = split(orders, order, / /)
    operations_n = split(operations, operation, / /)
    codes_n = split(codes, code_of, / /)
    print "\n## At a glance\n"
    print "Each operation with each key in each form, with both versions: **some** works for some of them.\n"
    printf "| |"
    for (i = 1; i <= orders_n; i++)
        printf " %s |", order[i]
    printf "\n|---|"
    for (i = 1; i <= orders_n; i++)
        printf "---|"
    print ""
    for (j = 1; j <= operations_n; j++) {
        printf "| %s |", operation[j]
        for (i = 1; i <= orders_n; i++) {
            at = order[i] SUBSEP operation[j]
            printf " %s |", !(at in fails) ? "yes" : (at in works) ? "**some**" : "**no**"
        }
        print ""
    }
    for (k = 1; k <= 2; k++) {
        printf "| OpenSSL %s: yes, no |", version[k]
        for (i = 1; i <= orders_n; i++)
            printf " %d, %d |", yes[order[i], version[k]], noes[order[i], version[k]] + 0
        print ""
    }
    print "\n## Every no, and why"
    for (i = 1; i <= orders_n; i++) {
        body = reasons_of(order[i])
        if (body == "")
            continue
        if (!(body in heading))
            bodies[++bodies_n] = body
        heading[body] = heading[body] (heading[body] == "" ? "" : ", ") order[i]
    }
    for (i = 1; i <= bodies_n; i++)
        printf "\n### %s\n\n%s", heading[bodies[i]], bodies[i]
}
