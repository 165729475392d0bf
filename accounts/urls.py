"""Routes of sign-in, account, administration and audit."""

from django.urls import path

from accounts.views import account, administration, clients, signing_in, users

app_name = "accounts"
urlpatterns = [
    path("sign-in", signing_in.sign_in, name="sign-in"),
    path("sign-in/<str:text>", signing_in.link_sign_in, name="link-sign-in"),
    path("sign-out", signing_in.sign_out, name="sign-out"),
    path("sign-out-everywhere", signing_in.sign_out_everywhere, name="sign-out-everywhere"),
    path("session/touch", signing_in.session_touch, name="session-touch"),
    path("account", account.profile, name="profile"),
    path("account/theme", account.theme_change, name="theme-change"),
    path("account/preferences", account.preferences_change, name="preferences-change"),
    path("account/password", account.password_change, name="password-change"),
    path("account/tokens", account.token_create, name="own-token-create"),
    path("account/tokens/<int:pk>/revoke", account.token_revoke, name="own-token-revoke"),
    path("admin", users.admin_home, name="admin-home"),
    path("admin/users", users.user_list, name="user-list"),
    path("admin/users/add", users.user_add, name="user-add"),
    path("admin/users/<int:pk>", users.user_detail, name="user-detail"),
    path("admin/users/<int:pk>/role", users.user_role, name="user-role"),
    path("admin/users/<int:pk>/clients", users.user_clients, name="user-clients"),
    path("admin/users/<int:pk>/person", users.user_person, name="user-person"),
    path("admin/users/<int:pk>/disable", users.user_disable, name="user-disable"),
    path("admin/users/<int:pk>/enable", users.user_enable, name="user-enable"),
    path("admin/users/<int:pk>/sign-out", users.user_sign_out, name="user-sign-out"),
    path("admin/users/<int:pk>/link", users.user_link, name="user-link"),
    path("admin/clients", clients.client_list, name="client-list"),
    path("admin/clients/add", clients.client_add, name="client-add"),
    path("admin/clients/<int:pk>", clients.client_detail, name="client-detail"),
    path("admin/clients/<int:pk>/change", clients.client_change, name="client-change"),
    path("admin/clients/<int:pk>/remove", clients.client_remove, name="client-remove"),
    path("admin/clients/<int:pk>/owns", clients.ownership_add, name="client-ownership-add"),
    path(
        "admin/clients/<int:pk>/owns/<int:ownership_pk>/remove",
        clients.ownership_remove,
        name="client-ownership-remove",
    ),
    path("admin/tokens", administration.token_list, name="token-list"),
    path("admin/tokens/<int:pk>/revoke", administration.token_revoke, name="token-revoke"),
    path("audit", administration.audit_list, name="audit-list"),
]
