/* SPDX-License-Identifier: MIT */
/* comap: several processes map one file. The one header that programs include. */
#ifndef COMAP_H
#define COMAP_H

#include <comap/base.h>
#include <comap/error.h>
#include <comap/type.h>
#include <comap/word.h>

#include <comap/rcu.h>
#include <comap/region.h>
#include <comap/seat.h>
#include <comap/table.h>
#include <comap/table_typed.h>
#include <comap/table_bulk.h>
#include <comap/table_dump.h>
#include <comap/table_turn.h>
#include <comap/table_watch.h>
#include <comap/value.h>

#endif
