"""Users and clients of made-up firms for tests."""

from collections.abc import Collection

from accounts.models import Client, Membership, Ownership, User

PASSWORD = "a long pass phrase 17"


def make_user(role: str, username: str | None = None, clients: Collection[Client] = ()) -> User:
    """A person of that role, named like it unless said otherwise, with PASSWORD."""
    user = User(username=username or f"{role}-person", role=role)
    user.set_password(PASSWORD)
    user.save()
    Membership.objects.bulk_create(Membership(user=user, client=client) for client in clients)
    return user


def make_client(name: str = "Northgate Capital", groups: Collection[str] = ()) -> Client:
    """A client that owns the groups of these globs on every cluster."""
    client = Client.objects.create(name=name)
    Ownership.objects.bulk_create(Ownership(client=client, kind="group", glob=glob) for glob in groups)
    return client
