# syntax=docker/dockerfile:1
# docker build -t lookalike .                     CPU: everything works
# docker build -t lookalike:gpu --target gpu .    with torch, torchvision and FAISS for CUDA 12

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH

# Dependencies first, from the two files that name them: code may change without installing again.
FROM base AS venv-cpu
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
RUN python -m venv /venv && pip install --no-cache-dir --constraint constraints.txt .

FROM venv-cpu AS venv-gpu
# Both FAISS packages are the module `faiss`: one has to go first.
RUN pip install --no-cache-dir --constraint constraints.txt '.[torch]' \
    && pip uninstall --yes faiss-cpu \
    && pip install --no-cache-dir --constraint constraints.txt 'faiss-gpu-cu12>=1.12'

FROM base AS site
RUN useradd --uid 10001 --create-home lookalike && install -d -o lookalike -g lookalike /data
WORKDIR /app
COPY . .
ENV DATA_DIR=/data STATIC_ROOT=/app/staticfiles
EXPOSE 8000
VOLUME /data
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["sh", "-c", "exec gunicorn retrieval_site.wsgi --bind 0.0.0.0:8000 --workers ${WEB_WORKERS:-2} --threads ${WEB_THREADS:-8} --access-logfile - --no-control-socket"]

FROM site AS gpu
COPY --from=venv-gpu /venv /venv
RUN python scripts/compile_translations.py && DATA_DIR=/tmp/build python manage.py collectstatic --no-input && rm -r /tmp/build
USER lookalike

FROM site AS cpu
COPY --from=venv-cpu /venv /venv
RUN python scripts/compile_translations.py && DATA_DIR=/tmp/build python manage.py collectstatic --no-input && rm -r /tmp/build
USER lookalike
