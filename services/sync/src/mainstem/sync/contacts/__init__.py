"""Contacts: the API that creates, reads, finds and changes contacts, as CTMS v1.1.0 has it.

Owns the bodies of the API and the storage of contacts with their groups, newsletters and identities.
Writes `contact.contact`, `contact.contact_group`, `contact.newsletter` and `contact.identity`; each change
marks its delivery through `delivery.storage`.
Imported by `app` alone.
"""
