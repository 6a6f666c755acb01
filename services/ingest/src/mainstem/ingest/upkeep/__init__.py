"""Upkeep of product subscriptions beside the flow: comparison of rule sets, switch, walk over all owners.

Owns the walk after a switch, its cursor, and the reports of the commands.
Writes `subscription.rule_activation` and `outbox.entry`; `subscriptions` writes what the walk derives.
Imported by `commands` and `worker`.
"""
