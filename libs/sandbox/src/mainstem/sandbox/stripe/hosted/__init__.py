"""What Stripe hosts: sessions of Checkout and of the billing portal, and what is done in them."""
