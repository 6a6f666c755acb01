"""Rule sets: which products an owner has, concluded from the mirror by a named set of data.

The room owns the built-in sets, the pure derivation, the row that says which set is active, the comparison
of a set with what is stored, and the walk that derives every owner again after a switch.
It writes `subscription.rule_activation` and `subscription.product_subscription`.
No rule knows a clock.
`commit`, `pipeline`, `worker` and `commands` may import it.
"""
