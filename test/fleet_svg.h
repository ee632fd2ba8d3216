/*
 * Curves of a fleet as an SVG: charts below one another, each with requests a minute over hours, on a logarithmic scale.
 */
#ifndef TEST_FLEET_SVG_H
#define TEST_FLEET_SVG_H

#include "fleet.h"
#include <stdio.h>

struct svg_curve {
    const char *name, *color;
    const unsigned *counts; /* in each minute */
    int64_t minutes;
};

struct svg_line {
    const char *name; /* NULL: none */
    double value;
};

struct svg_chart {
    const char *title;
    int hours, hours_between; /* the length of the axis, and of its divisions */
    double most;              /* the upper end of the other one, a power of ten */
    struct svg_line lines[2]; /* across */
    int shade_from, shade_to; /* hours that are shaded; the same: none */
    struct svg_curve curves[2];
};

/* Writes CHARTS to FILE. False when that fails. */
bool svg_write(FILE *file, const struct svg_chart *charts, int charts_n);

#endif
