#!/bin/sh
# Installs the validators and the PACS that test the DICOM outputs, the browser that tests the pages, and the database
# server that teams and nodes may use, as Debian packages, if apt-get runs without a password. Otherwise it prints what
# is missing, and the tests that need it are skipped. It never fails.
set -u
mark=$1

# Debian keeps the programs of PostgreSQL's server out of the path.
installed_elsewhere() { ls /usr/lib/postgresql/*/bin/"$1" >/dev/null 2>&1; }

lacking() {
    for pair in dcmtk:dsr2html dicom3tools:dciodvfy orthanc:Orthanc poppler-utils:pdftotext \
        orthanc-dicomweb:/usr/share/orthanc/plugins/libOrthancDicomWeb.so chromium:chromium postgresql:initdb; do
        tool=${pair#*:}
        command -v "$tool" >/dev/null 2>&1 || [ -x "/usr/sbin/$tool" ] || [ -e "$tool" ] ||
            installed_elsewhere "$tool" ||
            printf '%s ' "${pair%:*}"
    done
}

missing=$(lacking)
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo -n"; fi
    if [ -z "$as_root" ] || $as_root true 2>/dev/null; then
        echo "installing $missing"
        install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing"
        $install >/dev/null 2>&1 || { $as_root apt-get update -qq >/dev/null 2>&1; $install >/dev/null 2>&1; }
        missing=$(lacking)
    fi
fi
if [ -n "$missing" ]; then
    echo "not installed, their tests are skipped: $missing"
else
    touch "$mark"
fi
exit 0
