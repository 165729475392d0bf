"""Sign-in by password."""

from django.contrib.auth.backends import ModelBackend

from accounts.policies import may_sign_in


class PasswordBackend(ModelBackend):
    """Django's own, closed to accounts that may not sign in. It also loads the user of every request's session."""

    def user_can_authenticate(self, user: object) -> bool:
        return may_sign_in(user)
