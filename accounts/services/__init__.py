"""Every change to users, roles, clients, ownership and tokens: one transaction with its audit row.

Functions raise `django.core.exceptions.ValidationError` with a dict of field -> texts for what a person can put right.
Whatever bears on a person's sight raises the entitlement version and tells open sockets on commit.
"""

from accounts.services.audit import (
    audit_record,
)
from accounts.services.clients import (
    OwnershipSpec,
    client_add,
    client_change,
    client_notes_set,
    client_remove,
    ownership_add,
    ownership_remove,
)
from accounts.services.links import (
    one_time_sign_in_link_create,
    sign_in_link_create,
    sign_in_link_use,
)
from accounts.services.tokens import (
    token_create,
    token_family_end,
    token_note_use,
    token_refresh,
    token_revoke,
)
from accounts.services.users import (
    demo_users_create,
    membership_set,
    password_change,
    preferences_change,
    role_change,
    sign_in_record,
    sign_out_everywhere,
    user_add,
    user_change,
    user_disable,
    user_enable,
)

__all__ = [
    "OwnershipSpec",
    "audit_record",
    "client_add",
    "client_change",
    "client_notes_set",
    "client_remove",
    "demo_users_create",
    "membership_set",
    "one_time_sign_in_link_create",
    "ownership_add",
    "ownership_remove",
    "password_change",
    "preferences_change",
    "role_change",
    "sign_in_link_create",
    "sign_in_link_use",
    "sign_in_record",
    "sign_out_everywhere",
    "token_create",
    "token_family_end",
    "token_note_use",
    "token_refresh",
    "token_revoke",
    "user_add",
    "user_change",
    "user_disable",
    "user_enable",
]
