"""The app over HTTP: a router per part."""

from clusters.api.certificates import router as certificates_router
from clusters.api.findings import router as findings_router
from clusters.api.health import router as health_router
from clusters.api.load_tests import router as load_tests_router
from clusters.api.polling import router as polling_router
from clusters.api.rejections import router as rejections_router
from clusters.api.schemas import router as schemas_router

routers = (
    polling_router,
    certificates_router,
    findings_router,
    health_router,
    load_tests_router,
    rejections_router,
    schemas_router,
)
