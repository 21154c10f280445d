#!/usr/bin/env bash
# scripts/debian.sh PACKAGE[:PROGRAM or PATTERN of a path] … : install those of Debian's packages whose program is not there.
# Needs root; for anybody else it says what is missing and goes on.
set -euo pipefail
missing=()
for entry in "$@"; do
  package=${entry%%:*} sign=${entry#*:}
  [[ $entry == *:* ]] && { compgen -G "$sign" || command -v "$sign"; } >/dev/null && continue
  missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "Not here: ${missing[*]}. Install them with your system's package manager." >&2
elif [[ $(id -u) -ne 0 ]]; then
  echo "Not here: ${missing[*]}. For all of it: sudo apt-get install ${missing[*]}" >&2
else
  echo "Installing Debian's ${missing[*]}, once …"
  export DEBIAN_FRONTEND=noninteractive
  # The tests start servers of their own, with data of their own: no cluster and no service is wanted.
  if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null
fi
