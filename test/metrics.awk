# Holds a file against Prometheus' text format 0.0.4, strictly: HELP and TYPE once in front of the samples of each metric, all of
# them together, names and labels as they may be, a number, no time, no sample twice, a line end at the end. Prints what is wrong.
function wrong(why) {
    print FILENAME ":" FNR ": " why ": " $0
    bad = 1
}
/^# HELP / {
    if ($3 !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*$/ || NF < 4) wrong("no HELP line")
    if ($3 in helped) wrong("HELP twice")
    helped[$3] = 1
    name = $3
    next
}
/^# TYPE / {
    if (NF != 4 || $4 !~ /^(counter|gauge|histogram|summary|untyped)$/) wrong("no TYPE line")
    if ($3 != name) wrong("TYPE not behind its HELP")
    if ($4 == "counter" && $3 !~ /_total$/) wrong("a counter whose name does not end in _total")
    type[$3] = $4
    next
}
{
    if ($0 !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*"(,[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*")*\})? (-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|NaN|[+-]Inf)$/) {
        wrong("no sample")
        next
    }
    metric = $1
    sub(/\{.*/, "", metric)
    if (metric != name || !(metric in type)) wrong("a sample not behind its TYPE")
    if ($1 in seen) wrong("a sample twice")
    seen[$1] = 1
    samples++
}
END {
    if (samples == 0) {
        print FILENAME ": no samples"
        bad = 1
    }
    exit bad
}
