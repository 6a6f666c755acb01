"""Events as they are listed, and as they are sent to webhook endpoints."""
