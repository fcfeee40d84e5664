/* SPDX-License-Identifier: MIT */
/* The answer as a table, as JSON, as a chart. */
#ifndef LOG_ANALYZER_REPORT_H
#define LOG_ANALYZER_REPORT_H

#include "analysis.h"

void report_table(const struct question *question, const struct answer *answer, unsigned top);
void report_json(const struct question *question, const struct answer *answer, unsigned top);
/* The histogram as an SVG, drawn by gnuplot. 0, or -1: no gnuplot, or it failed. */
int report_chart(const struct question *question, const struct answer *answer, const char *path);

#endif
