"""Addresses of the pages. What was asked stays in the address, so it can be shared, paged and kept."""

from django.conf import settings
from django.urls import path
from django.views.generic import RedirectView

from search.web import asking, files, health, medical, views, why

app_name = "web"
FAVICON = f"{settings.STATIC_URL}lookalike/favicon.svg"

urlpatterns = [
    path("", asking.home, name="home"),
    path("query/", asking.query, name="query_anywhere"),
    path("c/<slug:slug>/", asking.collection, name="collection"),
    path("c/<slug:slug>/query/", asking.query, name="query"),
    path("c/<slug:slug>/search/", views.search, name="search"),
    path("c/<slug:slug>/images/<int:image_id>/", views.image, name="image"),
    path("c/<slug:slug>/why/<int:image_id>/", why.why, name="why"),
    path("q/<uuid:query_id>/preview/", files.preview, name="preview"),
    path("q/<uuid:query_id>/view/", medical.query_view, name="query_view"),
    path("images/<int:image_id>/view/", medical.image_view, name="image_view"),
    path("media/<path:name>", files.media, name="media"),
    path("healthz", health.healthz, name="healthz"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("favicon.ico", RedirectView.as_view(url=FAVICON)),
]
