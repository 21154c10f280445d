"""Settings of the site, all of them from environment variables (see .env.example).

Nothing set: SQLite, a broker of plain files, local memory cache, FAISS on the CPU, no service to
install. ``DATABASE_URL`` brings Postgres, ``REDIS_URL`` brings Redis as broker and cache.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from retrieval_site.env import env_bool, env_float, env_int, env_list, env_path, env_str

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env_bool("DEBUG", False)
DATA_DIR = env_path("DATA_DIR", BASE_DIR / "var")
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """The key from SECRET_KEY, else one made once and kept in the data folder, readable by its owner."""
    if key := env_str("SECRET_KEY"):
        return key
    path = DATA_DIR / "secret_key"
    try:
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return path.read_text().strip()


SECRET_KEY = _secret_key()
# 127.0.0.1 always: a container's health check asks there.
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS", "localhost,[::1]"), "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "catalog",
    "search",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "retrieval_site.urls"
WSGI_APPLICATION = "retrieval_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database: SQLite in WAL mode unless DATABASE_URL says otherwise -------------------------------

DATABASES = {
    "default": dj_database_url.parse(
        env_str("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'db.sqlite3'}", conn_max_age=60, conn_health_checks=True
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # writers queue instead of failing half-way
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=268435456;",
    }
    # A file, as in earnest: in memory SQLite shares one cache, whose readers do not wait for writers but fail.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}

# --- Cache and broker: local memory and a folder, or Redis -----------------------------------------

REDIS_URL = env_str("REDIS_URL")
# What searches are answered from, see docs/caching.md: entries (of each process, without Redis) and seconds; 0: off.
DESCRIPTOR_CACHE_SIZE = env_int("DESCRIPTOR_CACHE_SIZE", 5000)
DESCRIPTOR_CACHE_S = env_int("DESCRIPTOR_CACHE_S", 3600)
ANSWER_CACHE_SIZE = env_int("ANSWER_CACHE_SIZE", 5000)
ANSWER_CACHE_S = env_int("ANSWER_CACHE_S", 600)


def _cache(name: str, entries: int, **options: object) -> dict[str, object]:
    if not REDIS_URL:
        local = "django.core.cache.backends.locmem.LocMemCache"
        return {"BACKEND": local, "LOCATION": name, "OPTIONS": {"MAX_ENTRIES": max(1, entries)}}
    patience: dict[str, object] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    return {
        "BACKEND": "retrieval_site.redis_cache.RedisOrLocal",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"MAX_ENTRIES": max(1, entries), **patience, **options},
    }


def _query_cache(name: str, entries: int) -> dict[str, object]:
    """Of bytes alone, and apart from those of another site that uses the same Redis."""
    if not REDIS_URL:
        return _cache(name, entries)
    site = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]
    plain = "retrieval_site.redis_cache.PlainBytes"
    return _cache(name, entries, serializer=plain) | {"KEY_PREFIX": f"{name}-{site}"}


CACHES = {
    "default": _cache("", 10_000),
    "descriptors": _query_cache("descriptors", DESCRIPTOR_CACHE_SIZE),
    "answers": _query_cache("answers", ANSWER_CACHE_SIZE),
}

CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object]
if REDIS_URL:
    # Longer than any task: builds run for minutes, and a task redelivered while it runs does its work twice.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 6 * 3600}
else:
    _BROKER_DIR = DATA_DIR / "broker"
    for _folder in ("messages", "control"):
        (_BROKER_DIR / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_BROKER_DIR / "messages"),
        "data_folder_out": str(_BROKER_DIR / "messages"),
        "control_folder": str(_BROKER_DIR / "control"),
        "polling_interval": 0.05,
    }
CELERY_TASK_IGNORE_RESULT = True  # progress and results are rows of our own
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "search.embed_pending": {"queue": "gpu"},
    "search.training_run": {"queue": "gpu"},
    "search.build_run": {"queue": "cpu"},
    "search.evaluation_run": {"queue": "cpu"},
    "search.duplicates_scan": {"queue": "cpu"},
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_TIMEZONE = "UTC"

# --- Pictures and indexes ---------------------------------------------------------------------------

MEDIA_ROOT = env_path("MEDIA_ROOT", DATA_DIR / "media")
MEDIA_URL = "/media/"
INDEX_ROOT = env_path("INDEX_ROOT", DATA_DIR / "indexes")
WEIGHTS_ROOT = env_path("WEIGHTS_ROOT", DATA_DIR / "weights")
TRAINING_ROOT = env_path("TRAINING_ROOT", DATA_DIR / "training")
IMAGE_MAX_BYTES = env_int("IMAGE_MAX_BYTES", 32 * 1024 * 1024)
IMAGE_MAX_PIXELS = env_int("IMAGE_MAX_PIXELS", 100_000_000)
ARCHIVE_MAX_BYTES = env_int("ARCHIVE_MAX_BYTES", 8 * 1024**3)
FETCH_TIMEOUT_S = env_int("FETCH_TIMEOUT_S", 10)
FETCH_ALLOW_PRIVATE = env_bool("FETCH_ALLOW_PRIVATE", False)
EXTRACTION_RUNTIME = env_str("EXTRACTION_RUNTIME", "auto")
EXTRACTION_DEVICE = env_str("EXTRACTION_DEVICE", "auto")
EXTRACTION_BATCH = env_int("EXTRACTION_BATCH", 32)
EXTRACTION_THREADS = env_int("EXTRACTION_THREADS", 0)  # 0: as many as the machine has cores
# What 8 bits may cost before somebody has to accept it: of mAP; where nothing is labelled, of the first ten neighbours.
QUANTISATION_MAX_LOSS = env_float("QUANTISATION_MAX_LOSS", 0.01)
QUANTISATION_MAX_CHANGED = env_float("QUANTISATION_MAX_CHANGED", 0.10)
FAISS_THREADS = env_int("FAISS_THREADS", 0)
FAISS_DEVICE = env_str("FAISS_DEVICE", "auto")
MILVUS_URI = env_str("MILVUS_URI")
MILVUS_TOKEN = env_str("MILVUS_TOKEN")
MILVUS_PREFIX = env_str("MILVUS_PREFIX") or "lookalike"
QUERY_RETENTION_DAYS = env_int("QUERY_RETENTION_DAYS", 7)
DATA_UPLOAD_MAX_MEMORY_SIZE = env_int("DATA_UPLOAD_MAX_MEMORY_SIZE", 16 * 1024 * 1024)
FILE_UPLOAD_PERMISSIONS = 0o644
# Pictures that are sent stay in memory, two of the largest together: a DICOM file may not touch the disk as it came.
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * IMAGE_MAX_BYTES + 1024 * 1024
DICOM_SECRET = env_str("DICOM_SECRET") or SECRET_KEY  # pseudonyms of patients and studies are made with it
DICOM_MAX_FRAMES = env_int("DICOM_MAX_FRAMES", 2000)
DICOM_BURNED_IN = env_str("DICOM_BURNED_IN", "mark")  # or refuse: files that say that text is burned in

# --- Pages ------------------------------------------------------------------------------------------

LANGUAGE_CODE = env_str("LANGUAGE_CODE", "en")
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env_str("TIME_ZONE", "UTC")

STATIC_URL = "/static/"
STATIC_ROOT = env_path("STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # serves straight from static/ where collectstatic has not run
# WhiteNoise warns at every start while there is no STATIC_ROOT, which is how it is meant outside containers.
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
WHITENOISE_KEEP_ONLY_HASHED_FILES = False

LOGIN_URL = "web:login"
LOGIN_REDIRECT_URL = "/"

# --- REST API ---------------------------------------------------------------------------------------

API_RATE_ANONYMOUS = env_str("API_RATE_ANONYMOUS", "60/min")
API_RATE_KEY = env_str("API_RATE_KEY", "600/min")
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "EXCEPTION_HANDLER": "search.api.errors.exception_handler",
    # How many reverse proxies of yours stand before the site: X-Forwarded-For is believed that far, no further.
    "NUM_PROXIES": env_int("PROXIES", 0) or None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Lookalike API",
    "DESCRIPTION": "Upload a picture, get the catalog's look-alikes.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "StateEnum": "catalog.jobs.JobState",
        "DuplicateStateEnum": "search.models.duplicates.DuplicateState",
    },
}

# --- Security ---------------------------------------------------------------------------------------

HTTPS = env_bool("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env_int("HSTS_SECONDS", 0)
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # asked from the machine itself, without the proxy
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if DEBUG and HTTPS:
    raise ImproperlyConfigured("DEBUG=1 and HTTPS=1 together would show tracebacks to the world. Unset DEBUG.")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO")},
}
