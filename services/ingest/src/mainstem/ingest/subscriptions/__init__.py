"""Product subscriptions: whose each customer is, and what each owner has by the active rule set (stop 5).

Owns owners, rule sets with their history, and derivation.
Writes `subscription.owner`, `subscription.product_subscription` and `subscription.rule_activation`.
Imported by `pipeline`, `upkeep` and `worker`.
"""
