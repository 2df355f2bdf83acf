#!/bin/sh
# Runs the tests written in the rule language itself: the numbered meaning, a sample, every pack, and the
# examples of rules/README.md, which are taken out of it as they stand.
# Usage: tests/meaning.sh [MUSTER]; ends with the line "N passed, N failed".
muster=${1:-build/muster}
passed=0
failed=0
readme=build/readme-rules
rm -rf "$readme"
mkdir -p "$readme"
cp -r tests/data/meaning/lists "$readme/"
awk '/^```rules$/ { on = 1; next } /^```/ { on = 0 } on' rules/README.md >"$readme/readme.rules"
for dir in tests/data/meaning tests/data/sample "$readme" rules/packs/*/; do
    if ! checked=$("$muster" rules check "${dir%/}" 2>&1); then
        printf '%s\n' "$checked"
        failed=$((failed + 1))
    fi
    out=$("$muster" rules test "${dir%/}")
    code=$?
    printf '%s\n' "$out"
    last=$(printf '%s\n' "$out" | tail -n 1)
    p=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p')
    f=$(printf '%s\n' "$last" | sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p')
    if [ -z "$p" ] || { [ "$code" -ne 0 ] && [ "$f" = 0 ]; }; then
        printf '%s: exit code %s and no result\n' "$dir" "$code"
        f=1
        p=0
    fi
    passed=$((passed + p))
    failed=$((failed + f))
done
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
