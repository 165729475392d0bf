"""Settings of every process of the portal. Values come from the environment (docs/settings.md)."""

from pathlib import Path
from typing import Any

from csp.constants import NONCE

from ops_portal.lib import embedded, logs
from ops_portal.settings.env import (
    env_bool,
    env_choice,
    env_float,
    env_int,
    env_list,
    env_secret,
    env_str,
    kept_secret,
    split_words,
)

BASE_DIR = Path(__file__).resolve().parents[2]

# --- Where things live -------------------------------------------------------------------------------
DEMO = env_bool("DEMO", False, "Demo mode: demo users may sign in, /metrics is open on loopback. Never in production.")
PORTAL_VAR = (
    Path(
        env_str(
            "PORTAL_VAR",
            str(BASE_DIR / "var"),
            "Directory of all data: embedded services, Maven repository, demo Kafka.",
        )
    )
    .expanduser()
    .resolve()
)
HOST = env_str("HOST", "127.0.0.1", "Address the web process binds to under `make run` and `make demo`.")
PORT = env_int("PORT", 8000, "Port of the web process under `make run` and `make demo`.", low=1, high=65535)
DATABASE_URL = env_secret(
    "DATABASE_URL", "PostgreSQL to use instead of the embedded one: postgresql://user:password@host:port/name."
)
VALKEY_URL = env_secret(
    "VALKEY_URL", "Redis-protocol server to use instead of the embedded Valkey: redis://, rediss:// or unix://."
)
DEBUG = False

# --- Secrets -----------------------------------------------------------------------------------------
# Without a value the embedded default makes one and keeps it under PORTAL_VAR; production sets its own.
SECRET_KEY = env_secret("SECRET_KEY", "Key for sessions and signatures, at least 50 characters.")
FIELD_KEYS = split_words(
    env_secret("FIELD_KEYS", "Keys that encrypt stored secrets: comma-separated id:base64url(32 bytes), newest first.")
)
SECRETS_FROM_VAR = [name for name, value in {"SECRET_KEY": SECRET_KEY, "FIELD_KEYS": FIELD_KEYS}.items() if not value]
SECRET_KEY = SECRET_KEY or kept_secret(PORTAL_VAR, "secret_key")
FIELD_KEYS = FIELD_KEYS or [kept_secret(PORTAL_VAR, "field_key")]
METRICS_TOKEN = env_secret(
    "METRICS_TOKEN", "Bearer token that /metrics asks for; without one only loopback in demo mode is served."
)

# --- Web ---------------------------------------------------------------------------------------------
ALLOWED_HOSTS = env_list(
    "ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]", "Host names the portal answers to, comma-separated."
)
CSRF_TRUSTED_ORIGINS = env_list(
    "CSRF_TRUSTED_ORIGINS",
    "",
    "Origins (https://portal.example.com) that may send forms and open sockets, comma-separated.",
)
HTTPS_ONLY = env_bool(
    "HTTPS_ONLY", False, "1 behind TLS: secure cookies, HSTS, redirect to https. Production check refuses 0 there."
)
TRUSTED_PROXIES = env_int(
    "TRUSTED_PROXIES", 0, "Reverse proxies in front whose X-Forwarded-For entry is trusted.", low=0, high=5
)
LOG_FORMAT = env_choice("LOG_FORMAT", "console", ("console", "json"), "Form of the log lines.")
LOG_LEVEL = env_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), "Lowest level that is logged.")
LOGGING = logs.logging_settings(form=LOG_FORMAT, level=LOG_LEVEL)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "csp",
    "ops_portal",
    "accounts",
    "clusters",
    "lag",
    "incidents",
    "billing",
]
MIDDLEWARE = [
    "ops_portal.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ops_portal.web_figures.WebFiguresMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "ops_portal.api_middleware.ApiMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "ops_portal.urls"
APPEND_SLASH = False
ASGI_APPLICATION = "ops_portal.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ops_portal.context.shell",
            ],
        },
    }
]

# --- Data --------------------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": embedded.database_settings(DATABASE_URL, PORTAL_VAR)
    | {
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {
                "min_size": 1,
                "max_size": env_int(
                    "DATABASE_POOL_SIZE", 12, "Most connections one process keeps to PostgreSQL.", low=2, high=200
                ),
                "timeout": 5,
            },
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,  # milliseconds that a server out of reach may leave us waiting
            "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
VALKEY = embedded.valkey_url(VALKEY_URL, PORTAL_VAR)
DEPLOYMENT_ID = env_str(
    "DEPLOYMENT_ID", "ops", "Prefix of every key and channel, so that deployments can share one server."
)

# --- Sign-in -----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PasswordBackend"]
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = (
    env_int("SESSION_HOURS", 12, "Hours until a session ends without activity.", low=1, high=720) * 3600
)
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY
SESSION_COOKIE_NAME = "__Host-session" if HTTPS_ONLY else "ops_session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS_ONLY else "ops_csrf"
CSRF_FAILURE_VIEW = "ops_portal.errors.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", NONCE],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

# --- Static files ------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = PORTAL_VAR / "static"
STATICFILES_DIRS: list[Any] = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "ops_portal.lib.assets.PickedFilesFinder",
]
_MODULES = BASE_DIR / "node_modules"
VENDOR_FILES = {  # name below STATIC_URL -> file of a front-end package
    "vendor/tabler/tabler.min.css": _MODULES / "@tabler/core/dist/css/tabler.min.css",
    "vendor/tabler/tabler.min.css.map": _MODULES / "@tabler/core/dist/css/tabler.min.css.map",
    "vendor/uplot/uPlot.min.css": _MODULES / "uplot/dist/uPlot.min.css",
    "vendor/uplot/uPlot.esm.js": _MODULES / "uplot/dist/uPlot.esm.js",
    "vendor/uplot/uPlot.iife.min.js": _MODULES / "uplot/dist/uPlot.iife.min.js",
    "vendor/plotly/plotly-basic.min.js": _MODULES / "plotly.js-basic-dist-min/plotly-basic.min.js",
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["map", "png", "ico", "woff2", "gz", "br"]

# --- Celery (celery namespace; names are checked against celery.app.defaults by a test) ---------------
CELERY_BROKER_URL = embedded.celery_broker_url(VALKEY)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": f"{DEPLOYMENT_ID}:celery:",
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
    "visibility_timeout": 3600,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "clusters.poll": {"queue": "poll"},
    "clusters.probe_listeners": {"queue": "poll"},
    "clusters.enqueue_due_sources": {"queue": "poll"},  # never behind a roll-up of minutes
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULE = {
    "enqueue-due-sources": {"task": "clusters.enqueue_due_sources", "schedule": 1.0},
    "pack-history": {"task": "lag.pack_history", "schedule": 20.0},
    "roll-up-history": {"task": "lag.roll_up_history", "schedule": 60.0},
    "keep-partitions": {"task": "lag.keep_partitions", "schedule": 600.0},
    "settle-rejections": {"task": "clusters.settle_rejections", "schedule": 30.0},
    "prune-rejections": {"task": "clusters.prune_rejections", "schedule": 600.0},
    "settle-load-tests": {"task": "clusters.settle_load_tests", "schedule": 60.0},
    "keep-health-history": {"task": "clusters.keep_health_history", "schedule": 600.0},
    "prune-poll-runs": {"task": "clusters.prune_poll_runs", "schedule": 300.0},
    "close-expired-mutes": {"task": "lag.close_expired_mutes", "schedule": 30.0},
}

# --- Polling and lag ---------------------------------------------------------------------------------
LAG_PERIOD_SECONDS = env_int(
    "LAG_PERIOD_SECONDS", 5, "Default period of a new cluster's lag source, 1 to 60.", low=1, high=60
)
LAG_TARGET_SECONDS = env_float(
    "LAG_TARGET_SECONDS", 30, "Lag in seconds above which a group falls behind.", low=1, high=86_400
)
LAG_STALLED_SECONDS = env_float(
    "LAG_STALLED_SECONDS", 60, "Shortest time without progress that counts as stalled.", low=5, high=86_400
)
LAG_STOPPED_SECONDS = env_float(
    "LAG_STOPPED_SECONDS", 30, "Time without members after which a lagging group counts as stopped.", low=5, high=86_400
)
LAG_NO_COMMITS_SECONDS = env_float(
    "LAG_NO_COMMITS_SECONDS", 60, "Time without any commit after which a live group is reported.", low=5, high=86_400
)
REJECTION_BURST_COUNT = env_int(
    "REJECTION_BURST_COUNT", 20, "Refusals of one principal or host that open a finding.", low=1, high=1_000_000
)
REJECTION_BURST_SECONDS = env_int(
    "REJECTION_BURST_SECONDS", 300, "Seconds within which they count as one burst.", low=60, high=86_400
)
REJECTION_QUIET_SECONDS = env_int(
    "REJECTION_QUIET_SECONDS", 600, "Seconds without a refusal after which the finding closes.", low=60, high=86_400
)
CERTIFICATE_PERIOD_SECONDS = env_int(
    "CERTIFICATE_PERIOD_SECONDS", 900, "Default period of a new cluster's certificate probes.", low=60, high=3600
)
CERTIFICATE_PATHS = env_list(
    "CERTIFICATE_PATHS",
    "",
    "Files with certificates to watch, comma-separated: [CLUSTER=][trust:]PATH; PATH may have wildcards, trust: makes anchors.",
)
CERTIFICATE_KEY_TYPES = env_choice(
    "CERTIFICATE_KEY_TYPES",
    "preferred",
    ("preferred", "both"),
    "Which certificates a listener is asked for: the one it prefers, or RSA and ECDSA, which takes a further connection.",
)
CERTIFICATE_PASSWORDS = split_words(
    env_secret("CERTIFICATE_PASSWORDS", "Passwords to try on watched PKCS#12 and Java key stores, comma-separated.")
)
BROKERS_PERIOD_SECONDS = env_int(
    "BROKERS_PERIOD_SECONDS", 5, "Default period of a new cluster's broker health source, 1 to 60.", low=1, high=60
)
PROMETHEUS_PERIOD_SECONDS = env_int(
    "PROMETHEUS_PERIOD_SECONDS", 15, "Default period of a new cluster's Prometheus source, 5 to 300.", low=5, high=300
)
HISTORY_RAW_HOURS = env_int("HISTORY_RAW_HOURS", 48, "Hours that raw samples are kept.", low=1, high=720)
HISTORY_MINUTE_DAYS = env_int("HISTORY_MINUTE_DAYS", 14, "Days that one-minute roll-ups are kept.", low=1, high=366)
HISTORY_HOUR_DAYS = env_int("HISTORY_HOUR_DAYS", 730, "Days that one-hour roll-ups are kept.", low=1, high=3660)
HISTORY_EVENT_DAYS = env_int("HISTORY_EVENT_DAYS", 90, "Days that group events are kept.", low=1, high=3660)
HISTORY_RUN_HOURS = env_int("HISTORY_RUN_HOURS", 48, "Hours that poll runs are kept.", low=1, high=720)
METRICS_KAFKA_EXPORTER_NAMES = env_bool(
    "METRICS_KAFKA_EXPORTER_NAMES", False, "1 exports lag under kafka_exporter's names as well."
)
DEMO_RATE = env_int(
    "DEMO_RATE", 3000, "Mean events per second that the demo's producers send in all.", low=10, high=50_000
)

# --- Limits (interfaces.md 1) ------------------------------------------------------------------------
RATE_LIMIT_PER_MINUTE = env_int(
    "RATE_LIMIT_PER_MINUTE", 1000, "Requests a minute per token, user or address.", low=1, high=1_000_000
)
SIGN_IN_LIMIT_PER_MINUTE = env_int(
    "SIGN_IN_LIMIT_PER_MINUTE", 10, "Sign-in attempts a minute per address and name.", low=1, high=10_000
)
BODY_LIMIT_BYTES = 5 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_HANDLERS = [  # larger bodies, for those who may: ops_portal/uploads.py
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "ops_portal.uploads.KeptUploadHandler",
]

LANGUAGE_CODE = "en-gb"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
SILENCED_SYSTEM_CHECKS: list[str] = []
