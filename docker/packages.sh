#!/usr/bin/env bash
# Installs the Debian packages of packages.txt that are missing: names them and asks, unless YES=1 or
# there is no terminal. As an ordinary user it goes through sudo, or says what to do.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
while read -r name _; do
  case "$name" in '' | '#'*) continue ;; esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)" = installed ] || missing+=("$name")
done <packages.txt
[ "${#missing[@]}" -gt 0 ] || exit 0

echo "These Debian packages are needed and not installed:"
printf '  %s\n' "${missing[@]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Install them as root: apt-get install ${missing[*]}" >&2; exit 3; }
  as_root=(sudo)
fi
if [ "${YES:-0}" != 1 ] && [ -t 0 ]; then
  read -r -p "Install them now? [y/N] " answer
  case "$answer" in y | Y | yes) ;; *) echo "Nothing was installed." >&2; exit 3 ;; esac
fi
"${as_root[@]}" apt-get update -qq
# no service may start by itself: the demo and the tests run clusters of their own
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "Installed ${#missing[@]} packages."
