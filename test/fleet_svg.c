/*
 * Twenty minutes are one point of a curve; a point is a mean, except that a peak, which a mean would hide, is kept.
 */
#include "fleet_svg.h"

#include <inttypes.h>
#include <math.h>

#define WIDTH 900
#define HEIGHT 300 /* of one chart */
#define LEFT 70
#define RIGHT 20
#define TOP 40
#define BOTTOM 40
#define POINT_MIN 20

static double x_of(const struct svg_chart *chart, double hours)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * hours / chart->hours;
}

/* The scale begins at 1. */
static double y_of(const struct svg_chart *chart, double value)
{
    double part = value > 1 ? log10(value) / log10(chart->most) : 0;
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;
}

static void draw_axes(FILE *file, const struct svg_chart *chart)
{
    fprintf(file, "<text x=\"%d\" y=\"22\" class=\"title\">%s</text>\n", LEFT, chart->title);
    if (chart->shade_from < chart->shade_to)
        fprintf(file, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" class=\"shade\"/>\n",
            x_of(chart, chart->shade_from), TOP, x_of(chart, chart->shade_to) - x_of(chart, chart->shade_from),
            HEIGHT - TOP - BOTTOM);
    for (double value = 1; value <= chart->most; value *= 10)
        fprintf(file, "<path d=\"M%d %.1fH%d\" class=\"grid\"/><text x=\"%d\" y=\"%.1f\" class=\"y\">%.0f</text>\n",
            LEFT, y_of(chart, value), WIDTH - RIGHT, LEFT - 8, y_of(chart, value) + 4, value);
    for (int hours = 0; hours <= chart->hours; hours += chart->hours_between)
        fprintf(file, "<path d=\"M%.1f %dV%d\" class=\"grid\"/><text x=\"%.1f\" y=\"%d\" class=\"x\">%d h</text>\n",
            x_of(chart, hours), TOP, HEIGHT - BOTTOM, x_of(chart, hours), HEIGHT - BOTTOM + 18, hours);
}

/* BELOW: where its name stands. */
static void draw_line(FILE *file, const struct svg_chart *chart, const struct svg_line *line, bool below)
{
    double y = y_of(chart, line->value);
    fprintf(file, "<path d=\"M%d %.1fH%d\" class=\"line\"/><text x=\"%d\" y=\"%.1f\" class=\"note\">%s</text>\n", LEFT,
        y, WIDTH - RIGHT, LEFT + 6, y + (below ? 15 : -5), line->name);
}

static void draw_curve(FILE *file, const struct svg_chart *chart, const struct svg_curve *curve, int place)
{
    fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", curve->color);
    for (int64_t minute = 0; minute + POINT_MIN <= curve->minutes; minute += POINT_MIN) {
        unsigned peak = fleet_peak(curve->counts, minute, minute + POINT_MIN, 1);
        unsigned sum = fleet_peak(curve->counts, minute, minute + POINT_MIN, POINT_MIN);
        double mean = (double)sum / POINT_MIN, y = y_of(chart, peak > 3 * mean + 20 ? peak : mean);
        fprintf(file, "%.1f,%.1f ", x_of(chart, (double)minute / 60), y);
    }
    fprintf(file, "\"/>\n<text x=\"%d\" y=\"%d\" class=\"key\" fill=\"%s\">%s</text>\n", WIDTH - RIGHT,
        TOP + 16 + 16 * place, curve->color, curve->name);
}

bool svg_write(FILE *file, const struct svg_chart *charts, int charts_n)
{
    fprintf(file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<style>.title{font-size:14px;font-weight:bold}.grid{stroke:#ddd;fill:none}.shade{fill:#f4e3e0}"
        ".line{stroke:#888;stroke-dasharray:5 4;fill:none}.note{fill:#666}.y{text-anchor:end;fill:#444}"
        ".x{text-anchor:middle;fill:#444}.key{text-anchor:end}</style>\n<rect width=\"%d\" height=\"%d\" "
        "fill=\"#fff\"/>\n",
        WIDTH, HEIGHT * charts_n, WIDTH, HEIGHT * charts_n);
    for (int i = 0; i < charts_n; i++) {
        const struct svg_chart *chart = &charts[i];
        fprintf(file, "<g transform=\"translate(0 %d)\">\n", HEIGHT * i);
        draw_axes(file, chart);
        for (int k = 0; k < 2; k++)
            if (chart->lines[k].name != NULL)
                draw_line(file, chart, &chart->lines[k], k == 0);
        for (int k = 0; k < 2; k++)
            if (chart->curves[k].name != NULL)
                draw_curve(file, chart, &chart->curves[k], k);
        fputs("</g>\n", file);
    }
    fputs("</svg>\n", file);
    return ferror(file) == 0;
}
