#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the public headers declare, against what the shared library exports: the two sets are equal.

    api.py source SOURCE        prints a C program that takes the address of every declared function
    api.py exports SOURCE LIB   compares the dynamic symbols of LIB with the declarations
"""
import re
import subprocess
import sys
from pathlib import Path

FOLDERS = ("core/include", "ipc/include")


def headers(source):
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("*.h")):
            yield path.relative_to(source / folder), path


def declared(text):
    """Names of the functions and objects that a header declares without defining them."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"^[ \t]*#(.*\\\n)*.*$", "", text, flags=re.M)
    text = re.sub(r"\bCOMAP_(BEGIN|END)_DECLS\b|\bCOMAP__\w+\([^()]*\)", " ", text)
    while "{" in text:
        shorter = re.sub(r"\{[^{}]*\}", "@", text)
        if shorter == text:
            raise SystemExit("braces that do not match")
        text = shorter
    for statement in re.split(r"[;@]", text):
        if re.search(r"\b(static|typedef)\b", statement):
            continue
        match = re.search(r"\b(comap_\w+)\s*\(", statement)
        if match:
            yield match[1], True
        elif re.search(r"\bextern\b", statement) and "comap_" in statement:
            name = re.search(r"\b(comap_\w+)\s*(?:__attribute__|$|\[)", statement.strip())
            if name:
                yield name[1], False


def everything(source):
    found = {}
    for _, path in headers(source):
        for name, is_function in declared(path.read_text()):
            found[name] = is_function
    return found


def print_source(source):
    print("/* Made by tests/lint/api.py: every function of the public headers, by address. */")
    for name, _ in headers(source):
        print(f"#include <{name}>")
    print("\n#include <dlfcn.h>\n#include <stdio.h>\n\n"
          "static const struct {\n\tconst char *name;\n\tvoid (*address)(void);\n} functions[] = {")
    for name, is_function in sorted(everything(source).items()):
        if is_function:
            print(f'\t{{ "{name}", (void (*)(void)){name} }},')
    print("""};

int main(void)
{
	const unsigned count = sizeof functions / sizeof functions[0];
	unsigned missing = 0;

	for (unsigned i = 0; i < count; i++)
		/* From the shared library, and not from this program. */
		if (!functions[i].address || !dlsym(RTLD_DEFAULT, functions[i].name)) {
			printf("%s is not exported\\n", functions[i].name);
			missing++;
		}
	printf("%u functions, %u missing\\n", count, missing);
	return missing || count < 100;
}""")
    return 0


def compare(source, library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    exported = {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()
                if line.split()[-2] != "A"}
    names = set(everything(source))
    for name in sorted(exported - names):
        print(f"{name} is exported and in no public header")
    for name in sorted(names - exported):
        print(f"{name} is in a public header and not exported")
    print(f"{len(names)} declared, {len(exported)} exported")
    return 1 if exported != names or not names else 0


if __name__ == "__main__":
    ROOT = Path(sys.argv[2]).resolve()
    sys.exit(print_source(ROOT) if sys.argv[1] == "source" else compare(ROOT, sys.argv[3]))
