/*
 * The longest common subsequence by dynamic programming, behind what both texts begin with: the texts are configuration
 * files, so a table of all pairs of lines is small. Where it is not, all old lines go and all new ones come.
 */
#include "diff.h"

#include <string.h>

#define AROUND 3
#define PAIRS_MAX (16 * 1024 * 1024)

struct line {
    const char *text;
    size_t len; /* with its end, which the last one may lack */
};

struct lines {
    struct line *list;
    size_t n;
};

static void lines_fini(struct lines *lines)
{
    free(lines->list);
}

static bool split(const char *text, struct lines *out, struct t2c_error *err)
{
    size_t n = 1;
    for (const char *at = text; *at != '\0'; at++)
        n += *at == '\n' ? 1 : 0;
    out->list = calloc(n, sizeof(*out->list));
    if (out->list == NULL)
        return t2c_fail_nomem(err);
    for (const char *at = text; *at != '\0';) {
        const char *end = strchr(at, '\n');
        size_t len = end != NULL ? (size_t)(end - at) + 1 : strlen(at);
        out->list[out->n++] = (struct line){at, len};
        at += len;
    }
    return true;
}

/* The two texts; keep[i] says that old line i is in the new text, too. */
struct diff {
    struct lines old, new;
    bool *keep_old, *keep_new;
};

static void diff_fini(struct diff *diff)
{
    lines_fini(&diff->old);
    lines_fini(&diff->new);
    free(diff->keep_old);
    free(diff->keep_new);
}

static bool same(const struct diff *diff, size_t i, size_t j)
{
    const struct line *a = &diff->old.list[i], *b = &diff->new.list[j];
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* Marks what both have from the lines FIRST on. */
static bool match(struct diff *diff, size_t first, struct t2c_error *err)
{
    size_t rows = diff->old.n - first, columns = diff->new.n - first, width = columns + 1;
    if (rows != 0 && columns > PAIRS_MAX / rows)
        return true;
    T2C_CLEANUP(t2c_freep) uint32_t *longest = calloc((rows + 1) * width, sizeof(*longest));
    if (longest == NULL)
        return t2c_fail_nomem(err);
    for (size_t i = rows; i-- > 0;)
        for (size_t j = columns; j-- > 0;) {
            uint32_t down = longest[(i + 1) * width + j], right = longest[i * width + j + 1];
            longest[i * width + j] = same(diff, first + i, first + j) ? longest[(i + 1) * width + j + 1] + 1
                : down > right                                        ? down
                                                                      : right;
        }
    for (size_t i = 0, j = 0; i < rows && j < columns;) {
        if (same(diff, first + i, first + j))
            diff->keep_old[first + i++] = diff->keep_new[first + j++] = true;
        else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1])
            i++;
        else
            j++;
    }
    return true;
}

static bool put_line(struct t2c_bytes *out, char sign, const struct line *line, struct t2c_error *err)
{
    bool ended = line->text[line->len - 1] == '\n';
    return t2c_bytes_append(out, &sign, 1, err) && t2c_bytes_append(out, line->text, line->len, err) &&
        (ended || t2c_bytes_printf(out, err, "\n\\ No newline at end of file\n"));
}

/* A hunk: the lines from..to of either text. */
struct hunk {
    size_t old_from, old_to, new_from, new_to;
};

/* Line numbers begin with 1; an empty range has the number of the line before it. */
static bool put_hunk(struct t2c_bytes *out, const struct diff *diff, const struct hunk *hunk, struct t2c_error *err)
{
    size_t old_n = hunk->old_to - hunk->old_from, new_n = hunk->new_to - hunk->new_from;
    if (!t2c_bytes_printf(out, err, "@@ -%zu,%zu +%zu,%zu @@\n", hunk->old_from + (old_n > 0 ? 1 : 0), old_n,
            hunk->new_from + (new_n > 0 ? 1 : 0), new_n))
        return false;
    for (size_t i = hunk->old_from, j = hunk->new_from; i < hunk->old_to || j < hunk->new_to;) {
        bool gone = i < hunk->old_to && !diff->keep_old[i], come = j < hunk->new_to && !diff->keep_new[j];
        if (!put_line(out, gone ? '-' : come ? '+' : ' ', gone || !come ? &diff->old.list[i] : &diff->new.list[j], err))
            return false;
        i += gone || !come ? 1 : 0;
        j += gone ? 0 : 1;
    }
    return true;
}

/* Goes on from *i and *j to where the next change begins. */
static bool next_change(const struct diff *diff, size_t *i, size_t *j)
{
    for (; *i < diff->old.n && diff->keep_old[*i] && *j < diff->new.n && diff->keep_new[*j]; (*i)++)
        (*j)++;
    return *i < diff->old.n || *j < diff->new.n;
}

/* Goes over a change, and over those that follow with less than two contexts between. */
static void end_of_hunk(const struct diff *diff, struct hunk *hunk)
{
    size_t i = hunk->old_to, j = hunk->new_to;
    do {
        for (; i < diff->old.n && !diff->keep_old[i];)
            i++;
        for (; j < diff->new.n && !diff->keep_new[j];)
            j++;
        hunk->old_to = i;
        hunk->new_to = j;
    } while (next_change(diff, &i, &j) && i - hunk->old_to <= 2 * AROUND);
}

static bool put_hunks(struct t2c_bytes *out, const struct diff *diff, struct t2c_error *err)
{
    for (size_t i = 0, j = 0; next_change(diff, &i, &j);) {
        struct hunk hunk = {i, i, j, j};
        end_of_hunk(diff, &hunk);
        i = hunk.old_to;
        j = hunk.new_to;
        for (int n = 0; n < AROUND && hunk.old_from > 0 && hunk.new_from > 0; n++) {
            hunk.old_from--;
            hunk.new_from--;
        }
        for (int n = 0; n < AROUND && hunk.old_to < diff->old.n && hunk.new_to < diff->new.n; n++) {
            hunk.old_to++;
            hunk.new_to++;
        }
        if (!put_hunk(out, diff, &hunk, err))
            return false;
    }
    return true;
}

bool diff_unified(
    const struct diff_side *old, const struct diff_side *new, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(diff_fini) struct diff diff = {0};
    size_t first = 0;
    if (strcmp(old->text, new->text) == 0)
        return true;
    if (!split(old->text, &diff.old, err) || !split(new->text, &diff.new, err))
        return false;
    diff.keep_old = calloc(diff.old.n + 1, sizeof(bool));
    diff.keep_new = calloc(diff.new.n + 1, sizeof(bool));
    if (diff.keep_old == NULL || diff.keep_new == NULL)
        return t2c_fail_nomem(err);
    for (; first < diff.old.n && first < diff.new.n &&same(&diff, first, first); first++)
        diff.keep_old[first] = diff.keep_new[first] = true;
    return match(&diff, first, err) && t2c_bytes_printf(out, err, "--- %s\n+++ %s\n", old->name, new->name) &&
        put_hunks(out, &diff, err);
}
