from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import live
        from ops_portal.lib.live import sessions

        sessions.configure(authenticate=live.authenticate, revalidate=live.revalidate)
