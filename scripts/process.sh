#!/usr/bin/env bash
# scripts/process.sh web|gpu|cpu|beat : one of the site's processes, as systemd starts them (docs/install.md).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${VENV:-.venv}/bin
case ${1:-} in
  web) exec "$bin/gunicorn" retrieval_site.wsgi --bind "${BIND:-127.0.0.1:8000}" \
    --workers "${WEB_WORKERS:-2}" --threads "${WEB_THREADS:-8}" --access-logfile - --no-control-socket ;;
  gpu) exec "$bin/celery" -A retrieval_site worker -Q gpu -n gpu@%h --pool=solo -l INFO ;;
  cpu) exec "$bin/celery" -A retrieval_site worker -Q cpu,default -n cpu@%h --pool=solo -l INFO ;;
  beat) exec "$bin/celery" -A retrieval_site beat --schedule "${DATA_DIR:-var}/celerybeat" --pidfile= -l INFO ;;
  *) echo "usage: $0 web|gpu|cpu|beat" >&2; exit 2 ;;
esac
