#include <comap/word.h>
extern int comap__ipc_placeholder; int comap__ipc_placeholder;
