#!/bin/sh
# What pip cannot bring for the tests of the window and of the page: installed when root on Debian
# or Ubuntu, named otherwise.
set -eu

packages="xvfb xauth chromium libegl1 libgl1 libopengl0 libgl1-mesa-dri libglx-mesa0
libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
libxcb-render-util0 libxcb-shape0 libdbus-1-3 libfontconfig1 nginx-light openssl"

[ "$(uname)" = Linux ] || exit 0  # elsewhere Qt brings all it needs, and Chrome is looked for

if ! command -v dpkg-query >/dev/null; then
    for program in xvfb-run chromium; do
        command -v "$program" >/dev/null && continue
        echo "The tests of the window and of the page need Xvfb, Chromium and Qt's libraries (what"
        echo "Debian calls: $(echo $packages)); '$program' was not found."
        exit 1
    done
    exit 0
fi

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "The tests of the window and of the page need these packages:"
    echo "  sudo apt-get install --no-install-recommends$missing"
    exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log"
    echo "These packages could not be installed:$missing"
    exit 1
fi
rm "$log"
