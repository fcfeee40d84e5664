#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every function of the public headers, called twice, as C: symbols.py SOURCE prints it.

nothing_N   every pointer NULL, every number 0
handle_N    the first argument a handle that is good, the rest as above; where there is such a handle

test_symbols.c includes the result. Nothing is listed by hand: a new function is called as soon as a header
declares it.
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lint"))
import api  # noqa: E402

HANDLES = {"comap": "region", "comap_value": "value", "comap_table": "table", "comap_map": "map",
           "comap_scan": "scan", "comap_table_walk": "walk"}


def functions(source):
    for _, path in api.headers(source):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)
        for match in re.finditer(r"COMAP_API\s+([^;{}()]*?)\b(comap_\w+)\s*\(([^;]*?)\)\s*(?:COMAP\w+[^;]*|"
                                 r"__attribute__[^;]*)?;", text):
            result = re.sub(r"\s+|COMAP_MUST_CHECK", " ", match[1]).strip()
            if not match[2].startswith("comap__"):
                yield result, match[2], [] if match[3].strip() == "void" else match[3].split(",")


def nothing(argument):
    if "*" in argument:
        return "NULL"
    by_value = re.match(r"\s*(struct \w+)\s+\w+\s*$", argument)
    return f"({by_value[1]}){{ 0 }}" if by_value else "0"


def statement(result, name, arguments):
    call = f"{name}({', '.join(arguments)})"
    if result == "void":
        return f"{call};\n\treturn (struct outcome){{ OUTCOME_VOID, 0 }};"
    if "*" in result:
        return f"const void *got = {call};\n\n\treturn (struct outcome){{ OUTCOME_POINTER, got != NULL }};"
    if result == "struct comap_view":
        return f"struct comap_view got = {call};\n\n" \
            "\treturn (struct outcome){ OUTCOME_VIEW, got.data || got.size_bytes || got.version };"
    kind = "OUTCOME_CODE" if result in ("int", "int64_t") else "OUTCOME_NUMBER"
    return f"return (struct outcome){{ {kind}, (int64_t){call} }};"


def print_function(prefix, number, result, name, arguments):
    print(f"static struct outcome {prefix}_{number}(const struct handles *handles)\n{{\n"
          f"\t{statement(result, name, arguments)}\n}}\n")


def main(source):
    found = sorted(functions(source), key=lambda function: function[1])
    declared = {name for name, is_function in api.everything(source).items()
                if is_function and not name.startswith("comap__")}
    different = declared ^ {name for _, name, _ in found}
    if different:
        raise SystemExit(f"symbols: declarations that were not understood: {', '.join(sorted(different))}")
    for name, _ in api.headers(source):
        print(f"#include <{name}>")
    rows = []
    for number, (result, name, arguments) in enumerate(found):
        zeros = [nothing(argument) for argument in arguments]
        handle = re.match(r"\s*(?:const )?struct (\w+) \*\w+\s*$", arguments[0]) if arguments else None
        handle = HANDLES.get(handle[1]) if handle else None
        print_function("nothing", number, result, name, zeros)
        if handle:
            print_function("handle", number, result, name, [f"handles->{handle}", *zeros[1:]])
        rows.append(f'\t{{ "{name}", nothing_{number}, {f"handle_{number}" if handle else "NULL"} }},')
    print("static const struct function functions[] = {\n" + "\n".join(rows) + "\n};")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
