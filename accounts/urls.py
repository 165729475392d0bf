"""Routes of sign-in, account, administration and audit."""

from django.urls import path

from accounts.views import account, signing_in

app_name = "accounts"
urlpatterns = [
    path("sign-in", signing_in.sign_in, name="sign-in"),
    path("sign-in/<str:text>", signing_in.link_sign_in, name="link-sign-in"),
    path("sign-out", signing_in.sign_out, name="sign-out"),
    path("sign-out-everywhere", signing_in.sign_out_everywhere, name="sign-out-everywhere"),
    path("session/touch", signing_in.session_touch, name="session-touch"),
    path("account", account.profile, name="profile"),
    path("account/preferences", account.preferences_change, name="preferences-change"),
    path("account/password", account.password_change, name="password-change"),
    path("account/tokens", account.token_create, name="own-token-create"),
    path("account/tokens/<int:pk>/revoke", account.token_revoke, name="own-token-revoke"),
]
